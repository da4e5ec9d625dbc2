"""An order of all nodes in which every arc leads on. Directed, without cycles."""

import re
from itertools import pairwise
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Range, Topology
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import nodes_of, to_node
from datamodules.graphs.reading.text import says
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.search import topological
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

ORDER = r"\b(?:order(?:ing)?|sort(?:ing)?|sequence|answer|solution)(?: of (?:the )?nodes)?"
NO_ORDER = re.compile(r"\bno (?:such |valid |possible |topological )?(?:order|sort)", re.I)
TAKE = re.compile(r"\b(\w+) waits for nothing( more)?\.")
DENSITY = Range(0.03, 0.9, 0.24)


class TopologicalSort(GraphTask):
    """Topological sorting; any valid order counts."""

    is_directed = True
    wordings: ClassVar = {
        "incident": Wording(
            "This is a directed graph of the nodes {nodes}.",
            "Node {node} comes before {neighbours}.",
            "In which order can all nodes be visited?",
        )
    }
    topologies: ClassVar = {
        "erdos_renyi": Topology("erdos_renyi", Range(3, 24, 7.2), DENSITY),
        "barabasi_albert": Topology("barabasi_albert", Range(3, 24, 8.4), Range(0.1, 0.8, 0.25)),
        "small": Topology("erdos_renyi", Range(3, 10, 5.4), DENSITY),
        "large": Topology("erdos_renyi", Range(11, 25, 13.9), Range(0.03, 0.6, 0.15)),
        "transitive": Topology(
            "erdos_renyi",
            Range(3, 14, 5),
            Range(0.3, 1.0, 0.75),
            STRUCTURES["transitive"].transitivity,
        ),
        "sparse": Topology(
            "erdos_renyi",
            Range(3, 18, 6),
            Range(0.03, 0.5, 0.22),
            STRUCTURES["sparse"].transitivity,
        ),
    }
    answer_format = "End with a sentence of this form: One possible order is {nodes joined by ->}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, density = topology.nodes.draw_whole(rng), topology.density.draw(rng)
        nodes = rng.sample(range(num), num)
        place = {node: place for place, node in enumerate(nodes)}
        pairs = topology.pairs(nodes, density, rng)
        arcs = [(a, b) if place[a] < place[b] else (b, a) for a, b in pairs]
        return DrawnGraph(num, arcs) if arcs and topology.accepts(num, arcs) else None

    @override
    def answer(self, problem: Problem) -> str:
        order = topological(problem.graph)
        if order is None:
            return "There is no such order."
        return f"One possible order is {' -> '.join(problem.names[node] for node in order)}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        order = topological(problem.graph)
        if order is None:
            return ""
        blocked = {edge.b for edge in problem.graph.edges}
        names = problem.names
        if kind == "short":
            order = [node for node in order if node not in blocked]
        return " ".join(
            f"{names[node]} waits for nothing{' more' if node in blocked else ''}."
            for node in order
        )

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        order = self._order(problem, text)
        has_none = says(text, NO_ORDER)
        if isinstance(order, Ambiguous) or isinstance(has_none, Ambiguous):
            return "ambiguous"
        if has_none:
            if order is not None:
                return "ambiguous"
            return "right" if topological(problem.graph) is None else "wrong"
        if order is None:
            return "unparsed"
        return "right" if is_order(problem, order) else "infeasible"

    def _order(self, problem: Problem, text: str) -> tuple[int, ...] | Ambiguous | None:
        """The order that a text gives, beside the steps of a rationale."""
        return nodes_of(TAKE.sub("", text), problem.names, ORDER)

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        """Each node that is taken must wait for none that was not taken before."""
        before = [
            {edge.a for edge in problem.graph.edges if edge.b == node}
            for node in range(problem.graph.num_nodes)
        ]
        taken, num_right = list[int](), 0
        for name, more in TAKE.findall(text):
            node = to_node(name, problem.names)
            is_free = node >= 0 and node not in taken and before[node] <= set(taken)
            num_right += is_free and bool(before[node]) == bool(more)
            taken.append(node)
        is_whole = num_right == len(taken) and self._order(problem, text) == tuple(taken)
        return StepCheck(len(taken), num_right, is_whole and self.judge(problem, text) == "right")

    @override
    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        order = nodes_of(TAKE.sub("", text), problem.names, ORDER)
        known = order if isinstance(order, tuple) else ()
        return [(a, b) for a, b in pairwise(known) if min(a, b) >= 0]

    @override
    def effort(self, problem: Problem) -> int:
        """Arcs of the longest chain."""
        longest = [0] * problem.graph.num_nodes
        for node in topological(problem.graph) or ():
            for other in problem.graph.after[node]:
                longest[other] = max(longest[other], longest[node] + 1)
        return max(longest)


def is_order(problem: Problem, order: tuple[int, ...]) -> bool:
    """Whether every node comes once, and every arc leads on."""
    place = {node: place for place, node in enumerate(order)}
    is_whole = sorted(order) == list(range(problem.graph.num_nodes))
    return is_whole and all(place[edge.a] < place[edge.b] for edge in problem.graph.edges)


TASK = TopologicalSort()
