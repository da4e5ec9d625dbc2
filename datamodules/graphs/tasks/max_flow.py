"""The greatest flow from one node to another. Directed, with capacities."""

import re
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Range, Topology
from datamodules.graphs.graph import from_pairs
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import to_node
from datamodules.graphs.reading.values import value_of
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

FLOW = r"\b(?:answer|(?:max(?:imum|imal)?\.? |total |the )flow(?: value)?|value of the flow)"
SEND = re.compile(r"From (\w+) we send (\d+(?:\.\d+)?) to (\w+)\.")
SIZES = Range(3, 25, 14)
Flow = dict[tuple[int, int], Decimal]


class MaxFlow(GraphTask):
    """Maximum flow; the value counts."""

    is_directed = True
    is_weighted = True
    num_asked = 2
    wordings: ClassVar = {
        "incident": Wording(
            "This is a directed graph with capacities; the nodes are 0 to {last}.",
            "Node {node} is connected to {neighbours}.",
            "What is the maximum flow from node {s} to node {t}?",
            "{other} with capacity {weight}",
        )
    }
    topologies: ClassVar = {
        "erdos_renyi": Topology("erdos_renyi", SIZES, Range(0.1, 1.0, 0.48)),
        "barabasi_albert": STRUCTURES["barabasi_albert"],
        "small": STRUCTURES["small"],
        "large": STRUCTURES["large"],
    }
    answer_format = "End with a sentence of this form: The maximum flow is {number}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, density = topology.nodes.draw_whole(rng), topology.density.draw(rng)
        nodes = rng.sample(range(num), num)
        arcs = topology.pairs(nodes, density, rng)
        arcs += [(b, a) for a, b in topology.pairs(nodes, density, rng)]
        if not arcs or not topology.accepts(num, arcs):
            return None
        start = rng.choice(arcs)[0]
        reached = from_pairs(num, arcs, self.is_directed).reached(start)
        return DrawnGraph(num, arcs, (start, rng.choice(sorted(reached - {start}))))

    @override
    def answer(self, problem: Problem) -> str:
        return f"The maximum flow is {maximum_flow(problem)[0]}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        """The flow, arc by arc, in the order in which it spreads."""
        names, flow = problem.names, maximum_flow(problem)[1]
        sentences, seen, todo = [], {problem.asked[0]}, [problem.asked[0]]
        while todo:
            node = todo.pop(0)
            for other in problem.graph.after[node]:
                if (sent := flow.get((node, other))) is None:
                    continue
                sentences.append(f"From {names[node]} we send {sent} to {names[other]}.")
                todo += [] if other in seen else [other]
                seen.add(other)
        return " ".join(sentences)

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        value = value_of(SEND.sub("", text), FLOW)
        if isinstance(value, Ambiguous):
            return "ambiguous"
        if value is None:
            return "unparsed"
        best = maximum_flow(problem)[0]
        return "right" if value == best else "suboptimal" if 0 <= value < best else "infeasible"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        """Each arc must bear what is sent over it, once; what enters a node must leave it."""
        sent, num, num_right = Flow(), 0, 0
        for first, sent_amount, second in SEND.findall(text):
            num += 1
            arc = to_node(first, problem.names), to_node(second, problem.names)
            capacity = problem.graph.weight_of.get(arc)
            amount = Decimal(sent_amount)
            num_right += capacity is not None and arc not in sent and 0 < amount <= capacity
            sent[arc] = amount
        holds = num == num_right and conserved(problem, sent)
        is_whole = holds and net(problem.asked[1], sent) == maximum_flow(problem)[0]
        return StepCheck(num, num_right, is_whole and self.judge(problem, text) == "right")

    @override
    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        arcs = [
            (to_node(first, problem.names), to_node(second, problem.names))
            for first, _, second in SEND.findall(text)
        ]
        return [arc for arc in arcs if min(arc) >= 0]

    @override
    def effort(self, problem: Problem) -> int:
        """Arcs of a least cut."""
        import networkx as nx

        network, (start, end) = problem.graph.network(), problem.asked
        _, (inside, _) = nx.minimum_cut(network, start, end, capacity="weight")
        return sum(a in inside and b not in inside for a, b in network.edges)


@lru_cache(maxsize=256)
def maximum_flow(problem: Problem) -> tuple[Decimal, Flow]:
    """The value of a greatest flow, and what goes over each arc that bears any; exact.

    It is kept for a while: many answers to one problem are judged in a row.
    """
    import networkx as nx

    network = problem.graph.network()
    value, flow = nx.maximum_flow(network, *problem.asked, capacity="weight")
    return Decimal(value), {(a, b): n for a, row in flow.items() for b, n in row.items() if n}


def net(node: int, sent: Flow) -> Decimal:
    """What enters a node minus what leaves it."""
    total = Decimal(0)
    for (a, b), amount in sent.items():
        total += amount * ((b == node) - (a == node))
    return total


def conserved(problem: Problem, sent: Flow) -> bool:
    """Whether as much leaves every other node as enters it."""
    others = set(range(problem.graph.num_nodes)) - set(problem.asked)
    return all(net(node, sent) == 0 for node in others)


TASK = MaxFlow()
