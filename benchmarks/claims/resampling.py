"""Intervals of what is measured on a sample of texts or questions."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench.timing import MedianInterval

Statistic = Callable[..., float]
"""Makes a number of arrays whose rows belong together."""


def resampled(
    statistic: Statistic, *samples: Sequence[float] | NDArray[np.float64], num_resamples: int = 2000
) -> MedianInterval:
    """A statistic of a sample, with the 95 % interval of a bootstrap that is always the same.

    Args:
        statistic: Of the samples.
        samples: What was found, in the same order of texts or questions; these are drawn together.
        num_resamples: How often.
    """
    arrays = [np.asarray(one, dtype=np.float64) for one in samples]
    generator = np.random.default_rng(0)
    found = []
    for _ in range(num_resamples):
        drawn = generator.integers(len(arrays[0]), size=len(arrays[0]))
        found.append(statistic(*(one[drawn] for one in arrays)))
    low, high = np.quantile(found, [0.025, 0.975])
    return MedianInterval(float(statistic(*arrays)), float(low), float(high))


def rate(is_right: Sequence[bool]) -> MedianInterval:
    """Share of what is right, with its interval."""
    return resampled(lambda right: float(right.mean()), [float(one) for one in is_right])


def gain(before: Sequence[float], after: Sequence[float]) -> MedianInterval:
    """How much larger a mean or a share of what is right is, on the same questions: paired."""
    return resampled(lambda old, new: float(new.mean() - old.mean()), before, after)
