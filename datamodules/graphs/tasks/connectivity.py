"""Is there a path between two nodes? Undirected; balanced so that no shortcut tells the answer.

Both answers are drawn from pairs of nodes of one graph whose degrees are the same, so size, density
and degrees are equally distributed under both.
"""

import itertools
import re
from collections import defaultdict
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Pair, Range, Topology
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import to_node, to_nodes
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.reading.yes_no import yes_or_no
from datamodules.graphs.search import breadth_first, fewest_edges
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.wording.wording import Wording

QUESTION = "Is there a path between node {s} and node {t}?"
YES = re.compile(
    r"\bthere (?:is|exists|does exist) (?:a|one) (?:\w+ )?path\b|\ba path exists\b", re.I
)
NO = re.compile(
    r"\bthere (?:is|exists) no (?:\w+ )?path\b|\bno (?:\w+ )?path exists\b|\bthere (?:isn't|is not|"
    r"does not exist|doesn't exist) (?:a|any) (?:\w+ )?path\b|\bnot connected to each other\b|"
    r"\bno path between\b|\ba path does(?: not|n't) exist\b",
    re.I,
)
EDGE = re.compile(r"\b(\w+) is connected to (\w+)\.")
REACH = re.compile(r"From (\w+) we reach ([^.]+)\.")
NOTHING = "nothing new"


class Connectivity(GraphTask):
    """Connectivity of two nodes."""

    num_asked = 2
    wordings: ClassVar = {
        "adjacency": Wording(
            "These pairs are the edges of an undirected graph; (a,b) joins node a and node b.",
            "({a},{b})",
            QUESTION,
            between_lines=" ",
        ),
        "incident": Wording(
            "This is an undirected graph, told node by node.",
            "Node {node} is connected to {neighbours}.",
            QUESTION,
        ),
        "friendship": Wording(
            "Some people are friends; news travel from friend to friend.",
            "{a} and {b} are friends.",
            "Is there a path between {s} and {t} along friendships?",
            naming="people",
        ),
        "expert": Wording(
            "As an expert on graphs you study a graph G with undirected edges:",
            "{a} -> {b}",
            QUESTION,
            between_lines=", ",
            naming="letters",
        ),
    }
    topologies: ClassVar = {
        "small": STRUCTURES["small"],
        "large": STRUCTURES["large"],
        "erdos_renyi": Topology("erdos_renyi", Range(5, 35, 25), Range(0.06, 0.87, 0.5)),
        "barabasi_albert": Topology("barabasi_albert", Range(5, 35, 25), Range(0.06, 0.87, 0.5)),
    }
    answer_format = "End with a sentence of this form: The answer is {yes or no}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, density = topology.nodes.draw_whole(rng), topology.density.draw(rng)
        nodes = rng.sample(range(num), num)
        parts = in_parts(nodes, rng)
        within = sum(len(part) * (len(part) - 1) for part in parts)
        inner = min(1.0, density * num * (num - 1) / within) if within else 0.0
        pairs = [pair for part in parts for pair in topology.pairs(part, inner, rng)]
        asked = matched_pair(num, pairs, rng) if topology.accepts(num, pairs) else None
        return None if asked is None else DrawnGraph(num, pairs, asked)

    @override
    def answer(self, problem: Problem) -> str:
        return f"The answer is {'yes' if is_joined(problem) else 'no'}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        names, (start, end) = problem.names, problem.asked
        if kind == "short":
            path = fewest_edges(problem.graph, start, end) or []
            steps = itertools.pairwise(path)
            return " ".join(f"{names[a]} is connected to {names[b]}." for a, b in steps)
        sentences = []
        for node, new in breadth_first(problem.graph, start):
            reached = ", ".join(names[one] for one in new) or NOTHING
            sentences.append(f"From {names[node]} we reach {reached}.")
            if end in new:
                break
        return " ".join(sentences)

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        said = yes_or_no(text, YES, NO)
        if isinstance(said, Ambiguous):
            return "ambiguous"
        if said is None:
            return "unparsed"
        return "right" if (said == "yes") == is_joined(problem) else "wrong"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        says_yes = yes_or_no(text, YES, NO) == "yes"
        if EDGE.search(text):
            return path_steps(problem, text, says_yes)
        return search_steps(problem, text, says_yes)

    @override
    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        found = list[tuple[int, int]]()
        for node, reached in [*EDGE.findall(text), *REACH.findall(text)]:
            ends = to_nodes(node, problem.names), to_nodes(reached, problem.names)
            found += [(a, b) for a in ends[0] for b in ends[1] if min(a, b) >= 0]
        return found

    @override
    def effort(self, problem: Problem) -> int:
        """Hops of a shortest path; where there is none, nodes that are reached."""
        start, end = problem.asked
        path = fewest_edges(problem.graph, start, end)
        return len(path) - 1 if path else len(problem.graph.reached(start))


def in_parts(nodes: list[int], rng: Random) -> list[list[int]]:
    """Nodes in two or three parts of two nodes or more, between which there is no edge."""
    num_parts = 3 if len(nodes) >= 9 and rng.random() < 1 / 3 else 2
    if len(nodes) < 4:
        return [nodes]
    sizes = [2] * num_parts
    for _ in range(len(nodes) - 2 * num_parts):
        sizes[rng.randrange(num_parts)] += 1
    if rng.random() < 0.5:  # parts of unlike sizes
        moved = rng.randint(0, min(sizes) - 2)
        sizes[0], sizes[1] = sizes[0] + moved, sizes[1] - moved
    ends = [sum(sizes[:k]) for k in range(num_parts + 1)]
    return [nodes[a:b] for a, b in itertools.pairwise(ends)]


def matched_pair(num: int, pairs: list[Pair], rng: Random) -> tuple[int, int] | None:
    """Two nodes that are joined or not, by a coin, among degrees that have both; None without."""
    degree, part = [0] * num, list(range(num))
    for a, b in pairs:
        degree[a] += 1
        degree[b] += 1
        if part[a] != part[b]:
            old = part[b]
            part = [part[a] if one == old else one for one in part]
    found: dict[tuple[int, int], tuple[list[Pair], list[Pair]]] = defaultdict(lambda: ([], []))
    for s in range(num):
        for t in range(num):
            if s != t:
                found[degree[s], degree[t]][part[s] == part[t]].append((s, t))
    both = [degrees for degrees, (apart, joined) in found.items() if apart and joined]
    if not both:
        return None
    return rng.choice(found[rng.choice(both)][rng.random() < 0.5])


def is_joined(problem: Problem) -> bool:
    """Whether there is a path between the two nodes."""
    start, end = problem.asked
    return end in problem.graph.reached(start)


def path_steps(problem: Problem, text: str, says_yes: bool) -> StepCheck:
    """Steps from node to node: each an edge that begins where the last one ended."""
    start, end = problem.asked
    at, num_right = start, 0
    found = EDGE.findall(text)
    for first, second in found:
        a, b = to_node(first, problem.names), to_node(second, problem.names)
        num_right += a == at and problem.graph.has(a, b)
        at = b
    return StepCheck(len(found), num_right, says_yes and num_right == len(found) and at == end)


def search_steps(problem: Problem, text: str, says_yes: bool) -> StepCheck:
    """Steps of a search: each names exactly the new neighbours of the next node in the queue."""
    start, end = problem.asked
    todo, seen, num, num_right = [start], {start}, 0, 0
    for name, reached in REACH.findall(text):
        num += 1
        node = to_node(name, problem.names)
        new = () if reached == NOTHING else to_nodes(reached, problem.names)
        wanted = (
            {b for b in problem.graph.after[node] if b not in seen} if node in todo[:1] else {-1}
        )
        num_right += set(new) == wanted and len(new) == len(wanted)
        todo = [*todo[1:], *(one for one in new if one not in seen)]
        seen.update(new)
    is_whole = num == num_right and num > 0
    proves = end in seen if says_yes else not todo and end not in seen
    return StepCheck(num, num_right, is_whole and proves)


TASK = Connectivity()
