"""Which answers are right: by networkx, scipy and brute force, not by what is audited."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

import networkx as nx
import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import maximum_flow  # type: ignore[import-untyped]

from datamodules.graphs.problem import Problem

SCALE = 10
"""Weights have one decimal at most."""


@dataclass(frozen=True)
class Content:
    """An answer before it is put into words; that there is no path is one without any part.

    Attributes:
        said: Yes or no.
        nodes: Names of nodes in order.
        value: A flow or a length.
    """

    said: Literal["yes", "no"] | None = None
    nodes: tuple[str, ...] | None = None
    value: Decimal | None = None


class Truth:
    """The right answers to a problem.

    Args:
        problem: The problem.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.network = network_of(problem)
        self.ends = [problem.names[node] for node in problem.asked]

    @cached_property
    def solutions(self) -> list[Content]:
        """Up to three right answers, at least one."""
        return [*itertools.islice(SOLUTIONS[self.problem.task](self), 3)]

    def holds(self, content: Content) -> bool:
        """Whether an answer is right."""
        if content.nodes is None:
            return content in self.solutions
        is_valid = VALID[self.problem.task](self, content.nodes)
        return is_valid and (content.value is None or content.value == self.solutions[0].value)

    def is_walk(self, nodes: Sequence[str]) -> bool:
        """Whether there is an edge from each node to the next."""
        return all(node in self.network for node in nodes) and all(
            self.network.has_edge(a, b) for a, b in itertools.pairwise(nodes)
        )

    def length(self, nodes: Sequence[str]) -> Decimal:
        """Sum of the weights of a walk."""
        weights = [self.network.edges[pair]["weight"] for pair in itertools.pairwise(nodes)]
        return sum(weights, Decimal(0))


def network_of(problem: Problem) -> Any:
    """The graph with the names of its nodes."""
    network = nx.DiGraph() if problem.graph.is_directed else nx.Graph()
    network.add_nodes_from(problem.names)
    for a, b, weight in problem.graph.edges:
        content = {} if weight is None else {"weight": weight}
        network.add_edge(problem.names[a], problem.names[b], **content)
    return network


# All right answers


def connectivity(truth: Truth) -> Iterator[Content]:
    """Yes or no."""
    yield Content("yes" if nx.has_path(truth.network, *truth.ends) else "no")


def cycle(truth: Truth) -> Iterator[Content]:
    """Yes or no."""
    yield Content("no" if nx.is_forest(truth.network) else "yes")


def shortest_path(truth: Truth) -> Iterator[Content]:
    """Every shortest path with its length."""
    if not nx.has_path(truth.network, *truth.ends):
        yield Content()
        return
    for path in nx.all_shortest_paths(truth.network, *truth.ends, weight="weight"):
        yield Content(nodes=tuple(path), value=truth.length(path))


def topological_sort(truth: Truth) -> Iterator[Content]:
    """Every order."""
    for order in nx.all_topological_sorts(truth.network):
        yield Content(nodes=tuple(order))


def max_flow(truth: Truth) -> Iterator[Content]:
    """The value of the flow; weights are made whole numbers."""
    names = truth.problem.names
    capacity = np.zeros((len(names), len(names)), dtype=np.int32)
    for a, b, weight in truth.problem.graph.edges:
        assert weight is not None
        capacity[a, b] = int(weight * SCALE)
    found = maximum_flow(csr_array(capacity), *truth.problem.asked)
    yield Content(value=Decimal(int(found.flow_value)) / SCALE)


def hamilton_path(truth: Truth) -> Iterator[Content]:
    """Every path through all nodes; that there is none is found by trying all sets of nodes."""
    if not through_all(truth.network):
        yield Content()
        return
    names = truth.problem.names
    if len(names) == 1:
        yield Content(nodes=names)
    for pair in itertools.permutations(names, 2):
        for path in nx.all_simple_paths(truth.network, *pair):
            if len(path) == len(names):
                yield Content(nodes=tuple(path))
                break


def through_all(network: Any) -> bool:
    """Whether a path visits all nodes once (Held and Karp, 1962)."""
    names = list(network)
    bit = {name: 1 << index for index, name in enumerate(names)}
    ends = {bit[name]: {name} for name in names}
    for _ in names[1:]:
        longer: dict[int, set[str]] = {}
        for visited, last in ends.items():
            for node in last:
                for other in network[node]:
                    if not visited & bit[other]:
                        longer.setdefault(visited | bit[other], set()).add(other)
        ends = longer
    return bool(ends)


# Whether a sequence is one of them


def is_shortest(truth: Truth, nodes: Sequence[str]) -> bool:
    """A walk between the asked nodes of least length."""
    if [nodes[0], nodes[-1]] != truth.ends or not truth.is_walk(nodes):
        return False
    return truth.length(nodes) == truth.solutions[0].value


def is_order(truth: Truth, nodes: Sequence[str]) -> bool:
    """All nodes once, none after one that it must come before."""
    if sorted(nodes) != sorted(truth.network):
        return False
    return all(nodes.index(a) < nodes.index(b) for a, b in truth.network.edges)


def is_hamilton(truth: Truth, nodes: Sequence[str]) -> bool:
    """A walk through all nodes."""
    return sorted(nodes) == sorted(truth.network) and truth.is_walk(nodes)


SOLUTIONS: dict[str, Callable[[Truth], Iterator[Content]]] = {
    "connectivity": connectivity,
    "cycle": cycle,
    "shortest_path": shortest_path,
    "topological_sort": topological_sort,
    "max_flow": max_flow,
    "hamilton_path": hamilton_path,
}
"""The tasks that are audited."""
VALID: dict[str, Callable[[Truth, Sequence[str]], bool]] = {
    "shortest_path": is_shortest,
    "topological_sort": is_order,
    "hamilton_path": is_hamilton,
}
