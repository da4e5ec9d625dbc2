"""A path that visits every node once. Undirected, with few nodes: solved exactly."""

import itertools
import re
from itertools import pairwise
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Range, Topology
from datamodules.graphs.graph import Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import nodes_of
from datamodules.graphs.reading.text import says
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

PATH = r"\b(?:path|answer|order|solution)"
NO_PATH = re.compile(r"\bthere is no such path\b|\bno such path exists\b|\bno path\b", re.I)
NONE = "There is no such path."
QUESTION = "Which path visits every node exactly once?"
SIZES = Range(4, 10, 7)


class HamiltonPath(GraphTask):
    """Hamilton paths; any of several counts."""

    wordings: ClassVar = {
        "incident": Wording(
            "This is an undirected graph of the nodes {nodes}.",
            "Node {node} is connected to {neighbours}.",
            QUESTION,
        )
    }
    topologies: ClassVar = {
        "erdos_renyi": Topology("erdos_renyi", SIZES, STRUCTURES["erdos_renyi"].density),
        "small": Topology("erdos_renyi", SIZES, STRUCTURES["small"].density),
    }
    answer_format = (
        "End with a sentence of this form: The path is {nodes joined by ->}. If there is none, "
        f"end with: {NONE}"
    )

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, density = topology.nodes.draw_whole(rng), topology.density.draw(rng)
        nodes = rng.sample(range(num), num)
        pairs = {tuple(sorted(pair)) for pair in topology.pairs(nodes, density, rng)}
        if rng.random() < 0.8:
            pairs |= {tuple(sorted(pair)) for pair in itertools.pairwise(nodes)}
        return DrawnGraph(num, [(a, b) for a, b in sorted(pairs)]) if pairs else None

    @override
    def answer(self, problem: Problem) -> str:
        path = hamilton_path(problem.graph)
        if path is None:
            return NONE
        return f"The path is {' -> '.join(problem.names[node] for node in path)}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        return ""  # the path proves itself, and that there is none has no short proof

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        path, has_none = nodes_of(text, problem.names, PATH), says(text, NO_PATH)
        if isinstance(path, Ambiguous) or isinstance(has_none, Ambiguous) or (path and has_none):
            return "ambiguous"
        if path is None:
            if not has_none:
                return "unparsed"
            return "wrong" if hamilton_path(problem.graph) else "right"
        is_whole = sorted(path) == list(range(problem.graph.num_nodes))
        return "right" if is_whole and problem.graph.is_path(path) else "infeasible"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        return StepCheck(0, 0, self.judge(problem, text) == "right")

    @override
    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        path = nodes_of(NO_PATH.sub("", text), problem.names, PATH)
        known = path if isinstance(path, tuple) else ()
        return [(a, b) for a, b in pairwise(known) if min(a, b) >= 0]

    @override
    def effort(self, problem: Problem) -> int:
        """The number of nodes."""
        return problem.graph.num_nodes


def hamilton_path(graph: Graph) -> list[int] | None:
    """A path through all nodes; None if there is none. Paths are grown from every node."""
    for start in range(graph.num_nodes):
        path = [start]
        if grown(graph, path):
            return path
    return None


def grown(graph: Graph, path: list[int]) -> bool:
    """Whether a path can be continued to all nodes; it then is."""
    if len(path) == graph.num_nodes:
        return True
    for node in graph.after[path[-1]]:
        if node not in path:
            path.append(node)
            if grown(graph, path):
                return True
            path.pop()
    return False


TASK = HamiltonPath()
