"""Is there a cycle? Undirected; both answers have the same numbers of nodes and edges.

They have the same degrees too: a graph with a cycle is a forest whose edges have been rewired, and
a coin says which of the two is asked about.
"""

import re
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Pair, Topology
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import to_node, to_nodes
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.reading.yes_no import yes_or_no
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

QUESTION = "Is there a cycle in this graph?"
YES = re.compile(r"\b(?:there (?:is|exists)|it (?:has|contains)) (?:a|one) cycle\b", re.I)
NO = re.compile(
    r"\bthere (?:is|exists) no cycle\b|\bno cycle exists\b|\b(?:has|contains) no cycles?\b|"
    r"\bthere (?:isn't|is not) (?:a|any) cycle\b|\bis acyclic\b",
    re.I,
)
REMOVE = re.compile(r"Remove (\w+)\.")
ROUND = re.compile(r"\b(\w+(?: -> \w+)+) goes round\.")
SWAPS = 4
"""Times the number of edges: swaps before a forest is given up."""


class Cycle(GraphTask):
    """Whether a graph has a cycle."""

    wordings: ClassVar = {
        "incident": Wording(
            "This is an undirected graph, told node by node.",
            "Node {node} is connected to {neighbours}.",
            QUESTION,
        ),
        "adjacency": Wording(
            "These pairs are the edges of an undirected graph; (a,b) joins node a and node b.",
            "({a},{b})",
            QUESTION,
            between_lines=" ",
        ),
    }
    topologies: ClassVar = {name: STRUCTURES[name] for name in ("erdos_renyi", "small", "large")}
    answer_format = "End with a sentence of this form: The answer is {yes or no}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num = topology.nodes.draw_whole(rng)
        if num < 5:
            return None
        trees = forest(num, rng.randint(3, num - 1), rng)
        twin = rewired(num, trees, rng)
        return None if twin is None else DrawnGraph(num, rng.choice([trees, twin]))

    @override
    def answer(self, problem: Problem) -> str:
        return f"The answer is {'yes' if core(problem.graph) else 'no'}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        names, left = problem.names, core(problem.graph)
        if left:
            found = walk_round(problem.graph, left)
            return f"{' -> '.join(names[node] for node in [*found, found[0]])} goes round."
        if kind == "short":
            return ""
        return " ".join(f"Remove {names[node]}." for node in leaves(problem.graph))

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        said = yes_or_no(text, YES, NO)
        if isinstance(said, Ambiguous):
            return "ambiguous"
        if said is None:
            return "unparsed"
        return "right" if (said == "yes") == bool(core(problem.graph)) else "wrong"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        is_right = self.judge(problem, text) == "right"
        if rounds := [to_nodes(path, problem.names) for path in ROUND.findall(text)]:
            num_right = sum(is_round(problem.graph, path) for path in rounds)
            return StepCheck(len(rounds), num_right, is_right and num_right == len(rounds))
        left, num, num_right = set(range(problem.graph.num_nodes)), 0, 0
        for name in REMOVE.findall(text):
            num += 1
            node = to_node(name, problem.names)
            is_leaf = node in left and len(left & {*problem.graph.after[node]}) <= 1
            num_right += is_leaf
            left -= {node} if is_leaf else set()
        return StepCheck(num, num_right, is_right and num == num_right > 0 and not left)

    @override
    def effort(self, problem: Problem) -> int:
        """Nodes of the shortest cycle; without one, all nodes."""
        import networkx as nx

        girth = nx.girth(problem.graph.network())
        return problem.graph.num_nodes if girth == float("inf") else int(girth)


def forest(num: int, wanted: int, rng: Random) -> list[Pair]:
    """So many edges without a cycle."""
    part, found = list(range(num)), list[Pair]()
    while len(found) < wanted:
        a, b = rng.sample(range(num), 2)
        if part[a] != part[b]:
            found.append((a, b))
            old = part[b]
            part = [part[a] if one == old else one for one in part]
    return found


def rewired(num: int, pairs: list[Pair], rng: Random) -> list[Pair] | None:
    """Edges of the same degrees, some of which make a cycle; None if none are found.

    Two edges at a time exchange an end.
    """
    found, known = [*pairs], {frozenset(pair) for pair in pairs}
    for count in range(SWAPS * len(pairs)):
        i, j = rng.sample(range(len(found)), 2)
        (a, b), (c, d) = found[i], rng.choice([found[j], found[j][::-1]])
        new = {frozenset((a, d)), frozenset((c, b))}
        if len({a, b, c, d}) == 4 and not new & known:
            known = (known - {frozenset((a, b)), frozenset((c, d))}) | new
            found[i], found[j] = (a, d), (c, b)
        if count >= len(pairs) and core(Graph(num, tuple(Edge(*pair) for pair in found))):
            return found
    return None


def leaves(graph: Graph) -> list[int]:
    """Nodes in the order in which they can be removed, each with one neighbour left at most."""
    left, order = set(range(graph.num_nodes)), list[int]()
    while free := [node for node in sorted(left) if len(left & {*graph.after[node]}) <= 1]:
        order.append(free[0])
        left.remove(free[0])
    return order


def core(graph: Graph) -> set[int]:
    """Nodes that no removal of leaves removes; none if there is no cycle."""
    return set(range(graph.num_nodes)) - {*leaves(graph)}


def is_round(graph: Graph, path: tuple[int, ...]) -> bool:
    """Whether a path is a cycle: it ends where it began, and visits no other node twice."""
    is_closed = graph.is_path(path) and path[0] == path[-1]
    return is_closed and len(set(path)) == len(path) - 1 >= 3


def walk_round(graph: Graph, inside: set[int]) -> list[int]:
    """A cycle among nodes of which each has two neighbours or more."""
    path = [min(inside)]
    while True:
        last = path[-2] if len(path) > 1 else None
        node = next(one for one in graph.after[path[-1]] if one in inside and one != last)
        if node in path:
            return path[path.index(node) :]
        path.append(node)


TASK = Cycle()
