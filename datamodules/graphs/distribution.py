"""A distribution of problems, and its problems by number.

The graph of problem `index` follows from seed, split, structure and index alone: the same graphs,
with the same questions, come in every form, range of numbers and order of edges. Where an effort is
asked for that depends on weights, they differ between ranges of numbers.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from random import Random
from typing import Any, Literal, get_args

from datamodules.graphs.draw.splits import Split, split_of
from datamodules.graphs.draw.topology import Range, Structure, Topology
from datamodules.graphs.draw.weights import Numbers, draw_weight
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import DrawnGraph, GraphTask, Rationale, find_task
from datamodules.graphs.wording.forms import find_wording
from datamodules.graphs.wording.names import node_names
from datamodules.graphs.wording.wording import Wording
from datamodules.stream.checks import check_choice

Order = Literal["sorted", "shuffled"]
Ask = Literal["plain", "format", "steps"]
"""The question alone; with the form of the answer, for models that were not tuned; or with steps
asked for as well."""
STEPS = "First give the steps of your reasoning. "
TRIES = 100
"""Draws at one size before another size is drawn."""
MOST = 20000
"""Draws before a distribution is refused."""
MOST_LIMITED = 200_000
"""The same where edges or effort are limited: few graphs may fit."""
PROBES = 6
"""Problems whose texts tell one behaviour from another."""
LATER = ("edges", "effort")
"""Options that are no part of a behaviour where they are None: results from before them count."""
YES_NO = ("The answer is no.", "The answer is yes.")
"""Answers of tasks that have two."""
Limits = tuple[int, int] | None


@dataclass(frozen=True)
class Distribution:
    """Where problems come from.

    Attributes:
        task: Name of the task, a module of `datamodules.graphs.tasks`.
        form: How graphs are described: a form of the task, or a YAML file with a `Wording`.
        numbers: Range of the weights, where the task has some.
        structure: Distribution of the graphs.
        order: Of the edges in the text.
        nodes: Least and greatest number of nodes, in place of those of the structure.
        ask: What the prompt asks for.
        rationale: What comes before an answer that a model is trained on.
        edges: Least and greatest number of edges; any number where None.
        effort: Least and greatest effort of a solution, such as hops of connectivity, nodes that
            Dijkstra's search settles, or arcs of a least cut (`GraphTask.effort`); any where None.
            Yes and no stay equally frequent; that degrees tell nothing is not known any more.

    Raises:
        ValueError: The task has no such form or structure, or an option is unknown.
    """

    task: str = "connectivity"
    form: str = "incident"
    numbers: Numbers = "small"
    structure: Structure = "erdos_renyi"
    order: Order = "sorted"
    nodes: tuple[int, int] | None = None
    ask: Ask = "plain"
    rationale: Rationale = "none"
    edges: Limits = None
    effort: Limits = None

    def __post_init__(self) -> None:
        """Check the options."""
        check_choice("numbers", self.numbers, get_args(Numbers))
        check_choice("order", self.order, get_args(Order))
        check_choice("ask", self.ask, get_args(Ask))
        check_choice("rationale", self.rationale, get_args(Rationale))
        check_choice("structure", self.structure, tuple(self.solver.topologies))
        if self.nodes is not None and not 2 <= self.nodes[0] <= self.nodes[1]:
            raise ValueError(f"nodes must rise from 2 on, got {list(self.nodes)}")
        for name, limits in self.limits():
            if not 0 <= limits[0] <= limits[1]:
                raise ValueError(f"{name} must rise from 0 on, got {list(limits)}")
        _ = self.wording

    @property
    def solver(self) -> GraphTask:
        """The task itself."""
        return find_task(self.task)

    @property
    def wording(self) -> Wording:
        """How graphs are described."""
        return find_wording(self.solver.wordings, self.form, self.task)

    @property
    def topology(self) -> Topology:
        """The distribution of graphs."""
        found = self.solver.topologies[self.structure]
        if self.nodes is None:
            return found
        low, high = self.nodes
        nodes = Range(low, high, (low + high) / 2)
        return Topology(found.kind, nodes, found.density, found.transitivity)

    def problem(self, seed: int, split: Split, index: int) -> Problem:
        """Problem `index` of a seed.

        Raises:
            ValueError: No graph of the split is found.
        """
        weights: Numbers = self.numbers if self.effort and self.solver.is_weighted else "small"
        limits = self.edges, self.effort, weights
        drawn = drawn_graph(self.task, self.structure, self.nodes, *limits, seed, split, index)
        known = f"{self.task}/{self.structure}/{seed}/{split}/{index}"
        edges = self.weighted(drawn, known)
        if self.order == "shuffled":
            Random(f"order/{known}").shuffle(edges)
        graph = Graph(drawn.num_nodes, tuple(edges), self.solver.is_directed)
        names = node_names(self.wording.naming, drawn.num_nodes, Random(f"names/{known}"))
        return Problem(self.task, graph, drawn.asked, names)

    def weighted(self, drawn: DrawnGraph, known: str) -> list[Edge]:
        """The edges in order, with the weights of a problem."""
        weights = Random(f"weights/{self.numbers}/{known}")
        is_directed, is_weighted = self.solver.is_directed, self.solver.is_weighted
        pairs = sorted(p if is_directed else (min(p), max(p)) for p in drawn.pairs)
        return [
            Edge(*p, draw_weight(self.numbers, weights) if is_weighted else None) for p in pairs
        ]

    def fits(self, drawn: DrawnGraph, known: str) -> bool:
        """Whether a graph has as many edges, and its problem takes as much, as is asked for."""
        if self.edges is not None and not is_within(len(drawn.pairs), self.edges):
            return False
        if self.effort is None:
            return True
        edges = tuple(self.weighted(drawn, known))
        graph = Graph(drawn.num_nodes, edges, self.solver.is_directed)
        names = tuple(map(str, range(drawn.num_nodes)))
        problem = Problem(self.task, graph, drawn.asked, names)
        wanted = YES_NO[Random(f"answer/{known}").random() < 0.5]
        is_other = self.solver.answer(problem) in {*YES_NO} - {wanted}
        return not is_other and is_within(self.solver.effort(problem), self.effort)

    def prompt(self, problem: Problem) -> str:
        """A problem in words."""
        text = self.wording.write(problem)
        if self.ask == "plain":
            return text
        wanted = self.solver.answer_format
        return f"{text}\n{STEPS if self.ask == 'steps' else ''}{wanted}"

    def response(self, problem: Problem, seed: int, index: int) -> str:
        """What a model is to write."""
        rng = Random(f"rationale/{self.task}/{seed}/{index}")
        return self.solver.response(problem, self.rationale, rng)

    @cached_property
    def behaviour(self) -> str:
        """A hash of what it draws, asks and answers: another one means other problems."""
        lines = [json.dumps(self.options())]
        for index in range(PROBES):
            problem = self.problem(0, "train", index)
            lines += [self.prompt(problem), self.response(problem, 0, index)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def options(self) -> dict[str, Any]:
        """All options, without those that came later where they are None."""
        found = asdict(self).items()
        return {name: value for name, value in found if value is not None or name not in LATER}

    def limits(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Limits beyond those of nodes, by name."""
        for name in LATER:
            if getattr(self, name) is not None:
                yield name, getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        """Options that differ from the usual ones, for names."""
        usual = asdict(Distribution())
        for name, value in asdict(self).items():
            if value != usual[name] or name == "task":
                text = str(value) if not isinstance(value, tuple) else "-".join(map(str, value))
                yield f"{name}{text}" if name in LATER else text


def is_within(number: int, limits: tuple[int, int]) -> bool:
    """Whether a number is between two others."""
    return limits[0] <= number <= limits[1]


@cache
def drawn_graph(
    task: str,
    structure: Structure,
    nodes: Limits,
    edges: Limits,
    effort: Limits,
    numbers: Numbers,
    seed: int,
    split: Split,
    index: int,
) -> DrawnGraph:
    """The graph and the question of a problem, of the split's classes of graphs only.

    Limits let the first graph through that fits, of those that would be drawn without them.
    """
    limits: dict[str, Any] = {"edges": edges, "effort": effort, "numbers": numbers}
    found = Distribution(task=task, structure=structure, nodes=nodes, **limits)
    solver, wanted = found.solver, found.topology
    known = f"{task}/{structure}/{seed}/{split}/{index}"
    rng = Random(f"graph/{task}/{structure}/{nodes}/{seed}/{split}/{index}")
    most = MOST_LIMITED if edges or effort else MOST
    for attempt in range(most):
        if attempt % TRIES == 0:
            size = wanted.nodes.draw_whole(rng)
            fixed = Topology(
                wanted.kind, Range(size, size, size), wanted.density, wanted.transitivity
            )
        drawn = solver.draw(fixed, rng)
        if drawn is None or not found.fits(drawn, known):
            continue
        if split_of(drawn.num_nodes, drawn.pairs, solver.is_directed) == split:
            return drawn
    asked = "".join(f", {name} {list(pair)}" for name, pair in found.limits())
    raise ValueError(
        f"no problem of {task} was found in {most} draws of structure {structure} with "
        f"{wanted.nodes.low:g} to {wanted.nodes.high:g} nodes{asked} for {split}: allow more"
        f"{'' if asked else ' nodes'}"
    )
