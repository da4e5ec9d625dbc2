"""Intervals of anything that is computed from texts, by resampling human texts.

The human text, its cuts and all machine texts that continue it make one cluster; a resample draws
as many clusters as there are, with replacement (the cluster bootstrap: Davison and Hinkley, 1997,
sec. 3.8). A quantity is an array over resamples whose first entry is the quantity itself, on all
texts once. Since every detector sees the same resamples, sums, differences and means of such arrays
are paired, and `interval` is the last step.

Shape legend: N = texts, K = clusters, R = 1 + resamples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
LEVEL = 0.95

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


def resample(
    cluster_N: NDArray[Any], num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> NDArray[np.float32]:
    """How often every text stands in each resample.

    Args:
        cluster_N: Name of the cluster of each text.
        num_resamples: Number of resamples.
        seed: Of the draws.

    Returns:
        Counts, [R, N]; the first row is ones.

    Raises:
        ValueError: There are fewer than two clusters.
    """
    names, place_N = np.unique(cluster_N, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"an interval needs at least 2 human texts, got {len(names)}")
    shares = np.full(len(names), 1 / len(names))
    drawn_RK = np.random.default_rng(seed).multinomial(len(names), shares, num_resamples)
    weight_RN = np.ones((1 + num_resamples, len(place_N)), np.float32)
    weight_RN[1:] = drawn_RK[:, place_N]
    return weight_RN


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
