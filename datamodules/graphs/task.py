"""What a task of graph problems is: one module of `datamodules.graphs.tasks` each.

A task draws graphs, tells them, solves them, explains the solution, and judges free text. It
registers nowhere: `find_task` imports the module of its name.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import ClassVar, Literal

from datamodules.graphs import tasks
from datamodules.graphs.draw.topology import Pair, Structure, Topology
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.verdict import StepCheck, Verdict
from datamodules.graphs.wording.wording import Wording

Rationale = Literal["none", "short", "search"]
"""What comes before an answer: nothing; what proves a positive answer, as in the paper; or the
whole search, which proves negative ones too."""


@dataclass(frozen=True)
class DrawnGraph:
    """A graph without weights, and what is asked.

    Attributes:
        num_nodes: Number of nodes.
        pairs: Edges; arcs from the first node to the second where the task is directed.
        asked: Nodes that the question names.
    """

    num_nodes: int
    pairs: list[Pair]
    asked: tuple[int, ...] = ()


class GraphTask(ABC):
    """A task of graph problems."""

    is_directed: ClassVar[bool] = False
    """Whether edges are arcs."""
    is_weighted: ClassVar[bool] = False
    """Whether edges have weights."""
    num_asked: ClassVar[int] = 0
    """Nodes that the question names."""
    wordings: ClassVar[Mapping[str, Wording]]
    """How it is told, by form; every task has `incident`."""
    topologies: ClassVar[Mapping[Structure, Topology]]
    """Its distributions of graphs."""
    answer_format: ClassVar[str]
    """The sentence that asks for a format, for models that were not tuned."""

    @property
    def name(self) -> str:
        """The name of its module."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @abstractmethod
    def draw(self, topology: Topology, rng: Random) -> DrawnGraph | None:
        """Draw a graph and a question; None if what was drawn has no question."""

    @abstractmethod
    def answer(self, problem: Problem) -> str:
        """The sentence of the right answer, of several the one that `rationale` leads to."""

    @abstractmethod
    def rationale(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        """The steps that lead to the answer; may be empty."""

    @abstractmethod
    def judge(self, problem: Problem, text: str) -> Verdict:
        """What a free text is worth as an answer."""

    @abstractmethod
    def steps(self, problem: Problem, text: str) -> StepCheck:
        """Check each step of a rationale that is written as `rationale` writes it."""

    def marks(self, problem: Problem, text: str) -> list[tuple[int, int]]:
        """Edges that an answer names, for a picture."""
        return []

    @abstractmethod
    def effort(self, problem: Problem) -> int:
        """What the solution takes, such as hops: difficulty at one size of graph."""

    def check(self, problem: Problem) -> None:
        """Refuse a graph or a question that the task does not ask.

        Raises:
            ValueError: It has another direction, lacks weights, or other nodes are asked for.
        """
        graph = problem.graph
        if graph.is_directed != self.is_directed:
            wanted = "directed" if self.is_directed else "undirected"
            raise ValueError(f"{self.name} is asked of {wanted} graphs")
        if self.is_weighted and any(edge.weight is None for edge in graph.edges):
            raise ValueError(f"{self.name} needs a weight for every edge")
        if len(problem.asked) != self.num_asked or len(set(problem.asked)) != self.num_asked:
            raise ValueError(
                f"{self.name} asks about {self.num_asked} different nodes, got {problem.asked}"
            )

    def response(self, problem: Problem, kind: Rationale, rng: Random) -> str:
        """A rationale and the answer, as a model is trained to write them."""
        rationale = "" if kind == "none" else self.rationale(problem, kind, rng)
        return f"{rationale} {self.answer(problem)}".strip()

    def validate(self, problem: Problem) -> None:
        """Check that the task agrees with itself on a problem.

        Raises:
            AssertionError: A wording does not read back, or an own answer is not right.
        """
        for form, wording in self.wordings.items():
            named = renamed(problem, wording)
            reread = wording.read(wording.write(named), self.name, self.is_directed)
            assert same(named, reread), f"{self.name}, {form}: {named} is read as {reread}"
            for kind in ("none", "short", "search"):
                text = self.response(named, kind, Random(0))
                assert self.judge(named, text) == "right", f"{self.name}, {kind}: {text}"
                steps = self.steps(named, text)
                assert steps.num == steps.num_right, f"{self.name}, {kind}: {text}"
                assert steps.is_proof or kind != "search", f"{self.name}, {kind}: {text}"


@cache
def find_task(name: str) -> GraphTask:
    """The task of a name.

    Raises:
        ValueError: There is none; lists what there is.
    """
    if name not in task_names():
        raise ValueError(f"there is no task {name}; there are {', '.join(task_names())}")
    found: GraphTask = importlib.import_module(f"{tasks.__name__}.{name}").TASK
    return found


@cache
def task_names() -> list[str]:
    """Names of all tasks."""
    return sorted(module.name for module in pkgutil.iter_modules(tasks.__path__))


def renamed(problem: Problem, wording: Wording) -> Problem:
    """The same problem with the names of a wording."""
    from datamodules.graphs.wording.names import node_names

    names = node_names(wording.naming, problem.graph.num_nodes, Random(0))
    return Problem(problem.task, problem.graph, problem.asked, names)


def same(first: Problem, second: Problem) -> bool:
    """Whether two problems have the same edges and ask the same, by name."""
    return named_edges(first) == named_edges(second) and [
        first.names[node] for node in first.asked
    ] == [second.names[node] for node in second.asked]


def named_edges(problem: Problem) -> set[tuple[object, ...]]:
    """The edges of a problem, by names."""
    graph, names = problem.graph, problem.names
    found = set[tuple[object, ...]]()
    for a, b, weight in graph.edges:
        ends = (names[a], names[b]) if graph.is_directed else tuple(sorted((names[a], names[b])))
        found.add((*ends, weight))
    return found
