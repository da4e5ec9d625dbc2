"""What is the weight of an edge? Reading alone, of graphs with weights."""

import re
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Topology
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import to_nodes
from datamodules.graphs.reading.values import value_of
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.tasks.shortest_path import ShortestPath

QUESTION = "What is the weight between node {s} and node {t}?"
EDGE = re.compile(r"(\w+) to (\w+) is (\d+(?:\.\d+)?)\.(?!\d)")
SAID = r"\b(?:answer|weighs|(?:its|the) (?:weight|distance))\b"


QUESTIONS = {"friendship": "How far apart do {s} and {t} live?"}
"""Of forms that ask in another way."""


class EdgeWeight(GraphTask):
    """The weight of an edge."""

    is_weighted = True
    num_asked = 2
    wordings: ClassVar = {
        form: replace(one, question=QUESTIONS.get(form, QUESTION))
        for form, one in ShortestPath.wordings.items()
    }
    topologies: ClassVar = STRUCTURES
    answer_format = "End with a sentence of this form: {node} to {node} weighs {number}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, pairs = topology.graph(rng)
        if not pairs:
            return None
        pair = rng.choice(pairs)
        return DrawnGraph(num, pairs, pair if rng.random() < 0.5 else pair[::-1])

    @override
    def answer(self, problem: Problem) -> str:
        a, b = problem.asked
        return f"{problem.names[a]} to {problem.names[b]} weighs {problem.graph.weight_of[a, b]}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        """All edges with their weights, in any order, whatever the form of the question."""
        if kind == "short":
            return ""
        names, edges = problem.names, rng.sample(problem.graph.edges, len(problem.graph.edges))
        return " ".join(f"{names[a]} to {names[b]} is {w}." for a, b, w in edges)

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        said = value_of(EDGE.sub("", text), SAID)
        if isinstance(said, Ambiguous):
            return "ambiguous"
        if said is None:
            return "unparsed"
        wanted = problem.graph.weight_of[problem.asked[0], problem.asked[1]]
        return "right" if said == wanted else "wrong"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        """Each edge must have the weight that is listed."""
        listed = EDGE.findall(text)
        num_right = sum(self._holds(problem, *one) for one in listed)
        is_whole = num_right == len(listed)
        return StepCheck(len(listed), num_right, is_whole and self.judge(problem, text) == "right")

    def _holds(self, problem: Problem, a: str, b: str, weight: str) -> bool:
        ends = (*to_nodes(a, problem.names), *to_nodes(b, problem.names))
        known = problem.graph.weight_of.get((ends[0], ends[1])) if len(ends) == 2 else None
        return known is not None and known == Decimal(weight)

    @override
    def effort(self, problem: Problem) -> int:
        """The number of edges to read."""
        return len(problem.graph.edges)


TASK = EdgeWeight()
