"""Random graphs without weights, matched to the statistics of NLGift's problems.

Its generator was not released. Ranges and means of nodes and density are those of the released
problems; the distributions between them, a beta distribution each, are our choice.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal

Pair = tuple[int, int]
Kind = Literal["erdos_renyi", "barabasi_albert"]
Structure = Literal["erdos_renyi", "barabasi_albert", "small", "large", "transitive", "sparse"]
"""Distributions of the structural axis; `transitive` and `sparse` are the paper's high and low
centrality, which is transitivity."""
CONCENTRATION = 4.0
"""Sum of the two parameters of the beta distributions."""
TRANSITIVE = 0.6
"""Transitivity of a transitive graph, at least; the same of a sparse one, at most, is 0.45."""
SPARSE = 0.45


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, with a mean.

    Attributes:
        low: The least.
        high: The greatest.
        mean: Their mean.

    Raises:
        ValueError: They do not rise.
    """

    low: float
    high: float
    mean: float

    def __post_init__(self) -> None:
        """Check the order."""
        if not self.low <= self.mean <= self.high:
            raise ValueError(
                f"a range must rise: low {self.low}, mean {self.mean}, high {self.high}"
            )

    def draw(self, rng: Random) -> float:
        """A number, of a beta distribution."""
        if self.low == self.high:
            return self.low
        share = (self.mean - self.low) / (self.high - self.low)
        share = min(max(share, 0.02), 0.98)
        drawn = rng.betavariate(CONCENTRATION * share, CONCENTRATION * (1 - share))
        return self.low + (self.high - self.low) * drawn

    def draw_whole(self, rng: Random) -> int:
        """A whole number; both ends may come."""
        wide = Range(self.low - 0.499, self.high + 0.499, self.mean)
        return round(wide.draw(rng))


@dataclass(frozen=True)
class Topology:
    """A distribution of graphs.

    Attributes:
        kind: Erdos-Renyi or Barabasi-Albert.
        nodes: Number of nodes.
        density: Share of the pairs of nodes that are joined.
        transitivity: Least and greatest transitivity.
    """

    kind: Kind
    nodes: Range
    density: Range
    transitivity: tuple[float, float] = (0.0, 1.0)

    def pairs(self, nodes: list[int], density: float, rng: Random) -> list[Pair]:
        """Pairs of the nodes that are joined, each with the earlier node first.

        Args:
            nodes: The nodes, in any order.
            density: Share of the pairs that are joined, in expectation.
            rng: Of the draws.
        """
        if self.kind == "barabasi_albert":
            return barabasi_albert(nodes, density, rng)
        return [
            (a, b) for i, a in enumerate(nodes) for b in nodes[i + 1 :] if rng.random() < density
        ]

    def graph(self, rng: Random) -> tuple[int, list[Pair]]:
        """Number of nodes and pairs of a graph; no pairs where it is not as wanted."""
        num, density = self.nodes.draw_whole(rng), self.density.draw(rng)
        pairs = self.pairs(rng.sample(range(num), num), density, rng)
        return num, pairs if self.accepts(num, pairs) else []

    def accepts(self, num_nodes: int, pairs: list[Pair]) -> bool:
        """Whether the transitivity is as wanted."""
        low, high = self.transitivity
        return (low, high) == (0.0, 1.0) or low <= transitivity(num_nodes, pairs) <= high


def barabasi_albert(nodes: list[int], density: float, rng: Random) -> list[Pair]:
    """Preferential attachment (Barabasi and Albert, 1999): each node joins m earlier ones.

    m is the whole number that comes nearest to the density.
    """
    num = len(nodes)
    wanted = density * num * (num - 1) / 2
    sizes = range(1, max(2, num))
    m = min(sizes, key=lambda m: abs(m * (num - m) - wanted))
    ends = list(nodes[:m])
    found: list[Pair] = []
    for node in nodes[m:]:
        chosen: list[int] = []
        while len(chosen) < m:
            other = rng.choice(ends)
            if other not in chosen:
                chosen.append(other)
        found += [(other, node) for other in chosen]
        ends += [*chosen, *[node] * m]
    return found


def transitivity(num_nodes: int, pairs: list[Pair]) -> float:
    """Three times the triangles over the paths of two edges; 0 without such paths."""
    near: list[set[int]] = [set() for _ in range(num_nodes)]
    for a, b in pairs:
        near[a].add(b)
        near[b].add(a)
    closed = sum(len(near[a] & near[b]) for a, b in pairs)
    paths = sum(len(one) * (len(one) - 1) for one in near) / 2
    return closed / paths if paths else 0.0


STRUCTURES: dict[Structure, Topology] = {
    "erdos_renyi": Topology("erdos_renyi", Range(3, 25, 14), Range(0.03, 1.0, 0.42)),
    "barabasi_albert": Topology("barabasi_albert", Range(3, 25, 14), Range(0.1, 0.9, 0.45)),
    "small": Topology("erdos_renyi", Range(3, 10, 6.7), Range(0.1, 1.0, 0.46)),
    "large": Topology("erdos_renyi", Range(11, 25, 18), Range(0.05, 0.9, 0.29)),
    "transitive": Topology(
        "erdos_renyi", Range(3, 25, 14), Range(0.5, 1.0, 0.77), (TRANSITIVE, 1.0)
    ),
    "sparse": Topology("erdos_renyi", Range(3, 25, 14), Range(0.05, 0.5, 0.29), (0.0, SPARSE)),
}
"""The distributions of shortest paths; a task gives its own where its statistics differ."""
