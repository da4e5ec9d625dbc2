"""A shortest path between two nodes, and its length. Undirected, with weights."""

import itertools
import re
from decimal import Decimal
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Topology
from datamodules.graphs.graph import from_pairs
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import read_nodes, to_node, to_nodes
from datamodules.graphs.reading.text import says
from datamodules.graphs.reading.values import value_of
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.search import settled, shortest
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

QUESTION = "What is the shortest path from node {s} to node {t}, and how long is it?"
PATH = r"(?<!of )(?<!of the )(?<!of this )(?<!of the shortest )\bpath"
"""Its length is no path."""
LENGTH = (
    r"\b(?:answer|total|(?:total |path |shortest |minimum )?(?:length|distance)"
    r"|(?:its|the|total|path|shortest|minimum) (?:weight|cost))"
    r"(?: of (?:the |this )?(?:shortest )?path)?"
)
NO_PATH = re.compile(
    r"\bthere is no path\b(?! shorter)|\bno path exists\b|\bcannot be reached\b", re.I
)
NONE = "There is no path."
SETTLE = re.compile(r"\b(\w+) at (\d+(?:\.\d+)?) after (\w+)\.(?!\d)")
ALTERNATIVE = re.compile(
    r"\b(\w+(?: -> \w+)+) takes ([\d.]+(?: \+ [\d.]+)*) = (\d+(?:\.\d+)?)\.(?!\d)"
)
MOST = 4
"""Other paths that a short rationale tells, at most."""
LONGEST = 7
"""Nodes of such a path, at most."""


class ShortestPath(GraphTask):
    """Shortest paths; any of several counts."""

    is_weighted = True
    num_asked = 2
    wordings: ClassVar = {
        "adjacency": Wording(
            "These are the edges of an undirected graph; (a,b,w) joins node a and b with weight w.",
            "({a},{b},{weight})",
            QUESTION,
            between_lines=" ",
        ),
        "incident": Wording(
            "This is an undirected graph with weights, told node by node.",
            "Node {node} is connected to {neighbours}.",
            QUESTION,
            "{other} with weight {weight}",
        ),
        "friendship": Wording(
            "Some people are friends and live some miles apart; they travel from friend to friend.",
            "{a} and {b} are friends and live {weight} miles apart.",
            "What is the shortest path from {s} to {t} along friendships, and how long is it?",
            naming="people",
        ),
        "expert": Wording(
            "As an expert on graphs you study a graph G with undirected edges and weights:",
            "{a} -> {b} with weight {weight}",
            QUESTION,
            between_lines=", ",
            naming="letters",
        ),
    }
    topologies: ClassVar = STRUCTURES
    answer_format = (
        "End with sentences of this form: The shortest path is {nodes joined by ->}. "
        "The length of the shortest path is {number}."
    )

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, pairs = topology.graph(rng)
        if not pairs:
            return None
        start = rng.choice(pairs)[0]
        reached = from_pairs(num, pairs, self.is_directed).reached(start)
        return DrawnGraph(num, pairs, (start, rng.choice(sorted(reached - {start}))))

    @override
    def answer(self, problem: Problem) -> str:
        found = shortest(problem.graph, *problem.asked)
        if found is None:
            return NONE
        path = " -> ".join(problem.names[node] for node in found[0])
        return f"The shortest path is {path}. Its length is {found[1]}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        names, (start, end) = problem.names, problem.asked
        if kind == "short":
            return self._alternatives(problem, rng)
        sentences = []
        for node, before, distance in settled(problem.graph, start):
            sentences.append(f"{names[node]} at {distance} after {names[before]}.")
            if node == end:
                break
        return " ".join(sentences)

    def _alternatives(self, problem: Problem, rng: Random) -> str:
        """A shortest path and some others, in any order, each with its sum."""
        found = shortest(problem.graph, *problem.asked)
        if found is None:
            return ""
        paths = [found[0]]
        for _ in range(3 * MOST):
            path = walk(problem, rng)
            if path and path not in paths and len(paths) <= MOST and len(path) <= LONGEST:
                paths.append(path)
        rng.shuffle(paths)
        return " ".join(told_path(problem, path) for path in paths)

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        best = shortest(problem.graph, *problem.asked)
        plain_text, has_none = without_steps(text), says(text, NO_PATH)
        read = read_nodes(plain_text, problem.names, PATH)
        path, length = read.nodes, value_of(read.rest, LENGTH)
        if isinstance(path, Ambiguous) or isinstance(length, Ambiguous):
            return "ambiguous"
        if has_none:
            if isinstance(has_none, Ambiguous) or path is not None or length is not None:
                return "ambiguous"
            return "right" if best is None else "wrong"
        if path is None and length is None:
            return "unparsed"
        if best is None:
            return "infeasible" if path else "wrong"
        return judged(problem, path, length, best[1])

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        is_right = self.judge(problem, text) == "right"
        if found := ALTERNATIVE.findall(text):
            num_right = sum(holds(problem, *one) for one in found)
            return StepCheck(len(found), num_right, False)  # no list of some paths proves a minimum
        return settle_steps(problem, text, is_right)

    @override
    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        path = read_nodes(without_steps(text), problem.names, PATH).nodes
        known = path if isinstance(path, tuple) else ()
        return [(a, b) for a, b in itertools.pairwise(known) if min(a, b) >= 0]

    @override
    def effort(self, problem: Problem) -> int:
        """Nodes that are settled before the end is."""
        start, end = problem.asked
        order = [node for node, _, _ in settled(problem.graph, start)]
        return order.index(end) + 1 if end in order else len(order)


def judged(
    problem: Problem, path: tuple[int, ...] | None, length: Decimal | None, best: Decimal
) -> Verdict:
    """The verdict on a path, a length, or both: all that is told must hold."""
    if path is None:
        assert length is not None
        return "right" if length == best else "suboptimal" if length > best else "wrong"
    own = problem.graph.length(path) if problem.graph.is_path(path) else None
    if own is None or (path[0], path[-1]) != problem.asked or len(path) < 2:
        return "infeasible"
    if length is not None and length != own:
        return "wrong"
    return "right" if own == best else "suboptimal"


def without_steps(text: str) -> str:
    """A text without the steps of a rationale as this task writes them."""
    return SETTLE.sub("", ALTERNATIVE.sub("", text))


def walk(problem: Problem, rng: Random) -> list[int] | None:
    """A path that wanders at random without coming back; None if it gets stuck."""
    start, end = problem.asked
    path = [start]
    while path[-1] != end:
        new = [node for node in problem.graph.after[path[-1]] if node not in path]
        if not new:
            return None
        path.append(end if end in new and rng.random() < 0.5 else rng.choice(new))
    return path


def told_path(problem: Problem, path: list[int]) -> str:
    """A path with the sum of its weights."""
    nodes = " -> ".join(problem.names[node] for node in path)
    weights = [problem.graph.weight_of[pair] for pair in itertools.pairwise(path)]
    return f"{nodes} takes {' + '.join(map(str, weights))} = {problem.graph.length(path)}."


def holds(problem: Problem, nodes: str, weights: str, total: str) -> bool:
    """Whether a path joins what is asked for and its sum is right, term by term."""
    path = to_nodes(nodes, problem.names)
    if not problem.graph.is_path(path) or (path[0], path[-1]) != problem.asked:
        return False
    own = [problem.graph.weight_of[pair] for pair in itertools.pairwise(path)]
    terms = [Decimal(one) for one in weights.split(" + ")]
    return own == terms and problem.graph.length(path) == Decimal(total)


def settle_steps(problem: Problem, text: str, is_right: bool) -> StepCheck:
    """Steps of Dijkstra's search: each settles a nearest open node, over a node settled before."""
    graph, (start, end) = problem.graph, problem.asked
    distance, num, num_right = {start: Decimal(0)}, 0, 0
    for name, length, last in SETTLE.findall(text):
        num += 1
        node, before = to_node(name, problem.names), to_node(last, problem.names)
        nearest = min(
            (
                distance[a] + weight
                for (a, b), weight in graph.weight_of.items()
                if a in distance and b not in distance and weight is not None
            ),
            default=None,
        )
        weight = graph.weight_of.get((before, node))
        is_new = node >= 0 and node not in distance
        own = distance[before] + weight if before in distance and weight is not None else None
        is_true = is_new and own is not None and own == nearest == Decimal(length)
        num_right += is_true
        if is_new and is_true and own is not None:
            distance[node] = own
    ends = end in distance or graph.reached(start) == set(distance)
    return StepCheck(num, num_right, is_right and ends and num == num_right)


TASK = ShortestPath()
