"""Which nodes are joined to a node? Reading alone: what every other task stands on."""

import re
from dataclasses import replace
from random import Random
from typing import ClassVar

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES, Topology
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.sequences import nodes_of, to_nodes
from datamodules.graphs.reading.text import says
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck, Verdict
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale
from datamodules.graphs.tasks.connectivity import Connectivity

QUESTION = "Which nodes are joined to node {s}?"
SAID = r"\bjoined to\b|\banswer"
HAS = re.compile(r"(\w+) has ([^.]+)\.")
NOTHING = re.compile(r"\bjoined to no (?:node|one|other)\b|\bto nothing\b", re.I)


QUESTIONS = {"friendship": "Who is joined to {s} by friendship?"}
"""Of forms that ask in another way."""


class Neighbours(GraphTask):
    """The neighbours of a node; their order does not count."""

    num_asked = 1
    wordings: ClassVar = {
        form: replace(one, question=QUESTIONS.get(form, QUESTION))
        for form, one in Connectivity.wordings.items()
    }
    topologies: ClassVar = STRUCTURES
    answer_format = "End with a sentence of this form: {node} is joined to {nodes}."

    @override
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        num, pairs = topology.graph(rng)
        if not pairs:
            return None
        return DrawnGraph(
            num, pairs, (rng.choice(sorted({node for pair in pairs for node in pair})),)
        )

    @override
    def answer(self, problem: Problem) -> str:
        [node] = problem.asked
        return f"{problem.names[node]} is joined to {self._near(problem, node) or 'no node'}."

    @override
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        """All neighbours of all nodes, in any order of the nodes, whatever the form."""
        nodes = [node for node, after in enumerate(problem.graph.after) if after]
        rng.shuffle(nodes)
        return " ".join(
            f"{problem.names[node]} has {self._near(problem, node)}."
            for node in nodes
            if kind != "short"
        )

    def _near(self, problem: Problem, node: int) -> str:
        return ", ".join(problem.names[one] for one in problem.graph.after[node])

    @override
    def judge(self, problem: Problem, text: str) -> Verdict:
        said = nodes_of(HAS.sub("", text), problem.names, SAID)
        is_empty = says(text, NOTHING)
        wanted = problem.graph.after[problem.asked[0]]
        if isinstance(said, Ambiguous) or isinstance(is_empty, Ambiguous) or (said and is_empty):
            return "ambiguous"
        if said is None:
            return "unparsed" if not is_empty else "wrong" if wanted else "right"
        if not set(said) <= set(wanted):
            return "infeasible"
        return "right" if sorted(said) == sorted(wanted) else "wrong"

    @override
    def steps(self, problem: Problem, text: str) -> StepCheck:
        """Each node must have exactly the neighbours that are listed."""
        listed = HAS.findall(text)
        num_right = sum(self._holds(problem, *one) for one in listed)
        is_whole = num_right == len(listed)
        return StepCheck(len(listed), num_right, is_whole and self.judge(problem, text) == "right")

    def _holds(self, problem: Problem, name: str, near: str) -> bool:
        node, others = to_nodes(name, problem.names), to_nodes(near, problem.names)
        return (
            len(node) == 1
            and node[0] >= 0
            and sorted(others) == sorted(problem.graph.after[node[0]])
        )

    @override
    def effort(self, problem: Problem) -> int:
        """The number of neighbours."""
        return len(problem.graph.after[problem.asked[0]])


TASK = Neighbours()
