"""A graph as it is written down: nodes by number, edges in order, exact weights."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple


class Edge(NamedTuple):
    """An edge, or an arc from `a` to `b`.

    Attributes:
        a: Number of the first node.
        b: Number of the second.
        weight: Length or capacity, exact; None without.
    """

    a: int
    b: int
    weight: Decimal | None = None


@dataclass(frozen=True)
class Graph:
    """A simple graph without self-loops and parallel edges.

    Attributes:
        num_nodes: Nodes are 0 to `num_nodes` - 1.
        edges: In the order in which they are written.
        is_directed: Whether edges are arcs.

    Raises:
        ValueError: There is no node; an edge leaves the graph, is a self-loop, occurs twice or has
            a weight that is not positive; or only some edges have weights.
    """

    num_nodes: int
    edges: tuple[Edge, ...]
    is_directed: bool = False

    def __post_init__(self) -> None:
        """Check every edge."""
        if self.num_nodes < 1:
            raise ValueError(f"a graph needs a node, got {self.num_nodes}")
        seen = set[tuple[int, int]]()
        for a, b, weight in self.edges:
            if not (0 <= a < self.num_nodes and 0 <= b < self.num_nodes):
                raise ValueError(f"edge {a} {b}: the nodes are 0 to {self.num_nodes - 1}")
            if a == b:
                raise ValueError(f"edge {a} {b} is a self-loop")
            if self.ends(a, b) in seen:
                raise ValueError(f"edge {a} {b} occurs twice")
            if weight is not None and not (weight.is_finite() and weight > 0):
                raise ValueError(f"edge {a} {b}: its weight must be positive, got {weight}")
            seen.add(self.ends(a, b))
        if len({edge.weight is None for edge in self.edges}) > 1:
            raise ValueError("some edges have weights, others have none")

    def ends(self, a: int, b: int) -> tuple[int, int]:
        """What identifies an edge: its ends, in order if they have one."""
        return (a, b) if self.is_directed or a < b else (b, a)

    @cached_property
    def weight_of(self) -> dict[tuple[int, int], Decimal | None]:
        """The weight of each edge by its ends, of undirected ones in both orders."""
        found = {(a, b): weight for a, b, weight in self.edges}
        return found if self.is_directed else found | {(b, a): w for a, b, w in self.edges}

    def has(self, a: int, b: int) -> bool:
        """Whether one can go from `a` to `b` by one edge."""
        return (a, b) in self.weight_of

    @cached_property
    def after(self) -> list[list[int]]:
        """For each node those that one edge leads to, in the order of the edges."""
        found: list[list[int]] = [[] for _ in range(self.num_nodes)]
        for a, b, _ in self.edges:
            found[a].append(b)
            if not self.is_directed:
                found[b].append(a)
        return found

    def length(self, path: Iterable[int]) -> Decimal | None:
        """Sum of the weights along a path; None if it leaves the edges or they have no weights."""
        nodes = list(path)
        weights = [self.weight_of.get(pair) for pair in itertools.pairwise(nodes)]
        known = [weight for weight in weights if weight is not None]
        return sum(known, Decimal(0)) if len(known) == len(weights) else None

    def is_path(self, path: Iterable[int]) -> bool:
        """Whether there is a first node and each is joined to the next."""
        nodes = list(path)
        inside = all(0 <= node < self.num_nodes for node in nodes)
        return bool(nodes) and inside and all(self.has(a, b) for a, b in itertools.pairwise(nodes))

    def reached(self, start: int) -> set[int]:
        """The nodes that can be reached, `start` included."""
        found, todo = {start}, [start]
        while todo:
            new = [node for node in self.after[todo.pop()] if node not in found]
            found.update(new)
            todo += new
        return found

    @property
    def density(self) -> float:
        """Share of the pairs of nodes that are joined, of arcs among ordered pairs."""
        pairs = self.num_nodes * (self.num_nodes - 1) / (1 if self.is_directed else 2)
        return len(self.edges) / pairs if pairs else 0.0

    def network(self) -> Any:
        """The same as a graph of networkx, with exact weights as `weight`."""
        import networkx as nx

        made = nx.DiGraph() if self.is_directed else nx.Graph()
        made.add_nodes_from(range(self.num_nodes))
        made.add_edges_from((a, b, {} if w is None else {"weight": w}) for a, b, w in self.edges)
        return made

    def rows(self) -> Iterator[list[int | str]]:
        """The edges as JSON holds them, weights as texts."""
        for a, b, weight in self.edges:
            yield [a, b] if weight is None else [a, b, str(weight)]


def from_pairs(num_nodes: int, pairs: Iterable[tuple[int, int]], is_directed: bool) -> Graph:
    """A graph without weights."""
    return Graph(num_nodes, tuple(Edge(*pair) for pair in pairs), is_directed)


def from_rows(num_nodes: int, rows: Iterable[Iterable[Any]], is_directed: bool) -> Graph:
    """The graph of `Graph.rows`."""
    edges = []
    for row in rows:
        a, b, *weight = row
        edges.append(Edge(int(a), int(b), Decimal(str(weight[0])) if weight else None))
    return Graph(num_nodes, tuple(edges), is_directed)
