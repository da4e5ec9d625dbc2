"""Intervals of anything that is computed from texts, by resampling human texts.

The human text, its cuts and all machine texts that continue it make one cluster; a resample draws
as many clusters as there are, with replacement (the cluster bootstrap: Davison and Hinkley, 1997,
sec. 3.8). A quantity is an array over resamples whose first entry is the quantity itself, on all
texts once. Since every detector sees the same resamples, sums, differences and means of such arrays
are paired, and `interval` is the last step.

Shape legend: N = texts, K = clusters, R = 1 + resamples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
LEVEL = 0.95
LARGEST = 2**22
"""Counts of texts in resamples that are held at a time."""

Quantity = NDArray[np.float64]
"""Something on all texts and on each resample, [R]."""


@dataclass(frozen=True)
class Interval:
    """A value and its percentile interval.

    Attributes:
        value: On all texts.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As it is read: `0.731 [0.702, 0.760]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def points(self) -> str:
        """A difference of shares in points of a hundred: `-1.2 [-3.0, +0.5]`."""
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


Weights = NDArray[np.float32]
"""How often every text occurs in some resamples, [R, N]."""


class Resamples:
    """How often every text occurs in each resample, a few resamples at a time.

    The same resamples come in every pass, whatever their number at a time, so that what is computed
    of one detector after another is paired.

    Args:
        cluster_N: Name of the cluster of each text.
        num: Number of resamples.
        seed: Of the draws.
        largest: Counts that are held at a time, at most, but for one resample.

    Raises:
        ValueError: There are fewer than two clusters.
    """

    def __init__(
        self,
        cluster_N: NDArray[Any],
        num: int = NUM_RESAMPLES,
        seed: int = 0,
        largest: int = LARGEST,
    ):
        names, self.place_N = np.unique(cluster_N, return_inverse=True)
        self.num_clusters = len(names)
        self.num = num
        self.seed = seed
        self.size = max(1, largest // len(cluster_N)) if len(cluster_N) else 1
        if len(names) < 2:
            raise ValueError(f"an interval needs at least 2 human texts, got {len(names)}")

    def parts(self) -> Iterator[Weights]:
        """Counts, [r, N] each; all parts together have 1 + `num` rows, the first of them ones."""
        rng = np.random.default_rng(self.seed)
        shares = np.full(self.num_clusters, 1 / self.num_clusters)
        for first in range(0, 1 + self.num, self.size):
            rows = min(self.size, 1 + self.num - first)
            weight_RN = np.ones((rows, len(self.place_N)), np.float32)
            drawn_RK = rng.multinomial(self.num_clusters, shares, rows - (first == 0))
            weight_RN[rows - len(drawn_RK) :] = drawn_RK[:, self.place_N]
            yield weight_RN


def part_by_part(
    weights: Resamples | Weights, quantity: Callable[[Weights], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """A quantity on all texts and on each resample, computed of a few resamples at a time.

    Args:
        weights: The resamples.
        quantity: Takes some of them, [r, N]; the last axis of what it returns is r.

    Returns:
        Its results, joined along their last axis.
    """
    parts = weights.parts() if isinstance(weights, Resamples) else iter([weights])
    return np.concatenate([quantity(weight_RN) for weight_RN in parts], axis=-1)


def interval(quantity_R: Quantity, level: float = LEVEL) -> Interval:
    """The percentile interval of a quantity; resamples in which it is undefined (NaN) are left out.

    Args:
        quantity_R: The quantity and its resamples.
        level: Share of the resamples between the ends.

    Raises:
        ValueError: It is undefined on all texts.
    """
    if np.isnan(quantity_R[0]):
        raise ValueError("a quantity is undefined: a class is missing among the texts")
    tail = (1 - level) / 2
    low, high = np.nanquantile(quantity_R[1:], [tail, 1 - tail])
    return Interval(float(quantity_R[0]), float(low), float(high))
