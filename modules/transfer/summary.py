"""Summaries of a matrix: pooled training, generators left out, small against large.

Every function returns quantities (see `bootstrap`), so that `interval` gives paired intervals.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from modules.metrics.bootstrap import Quantity
from modules.transfer.matrix import Matrix

POOLED = "pooled"
"""Row that was trained on all generators."""
AVERAGE = "average"
"""Row of the mean probabilities of those trained on one generator each."""
WITHOUT = "_without_"
"""Between one of these names and the generator that was left out."""


def own(rate: Matrix) -> list[str]:
    """Columns with a row of the same name."""
    return [name for name in rate.tested_on if name in rate.trained_on]


def minus_own(rate: Matrix, row: str = POOLED) -> Quantity:
    """Rate of one row minus that of each generator's own, the mean over generators.

    Args:
        rate: Rates, with one row per generator, named after it.
        row: Name of that row.
    """
    return mean(rate.at(row, name) - rate.at(name, name) for name in own(rate))


def left_out(rate: Matrix) -> Quantity:
    """Mean rate of the pooled rows, each on the generator left out of its training."""
    return mean(rate.at(POOLED + WITHOUT + name, name) for name in left_out_names(rate))


def left_out_names(rate: Matrix) -> list[str]:
    """Generators with a pooled row that was trained without them."""
    return [name for name in own(rate) if POOLED + WITHOUT + name in rate.trained_on]


def left_out_minus(rate: Matrix) -> dict[str, Quantity]:
    """Lead of the pooled rows over others on a generator that neither was trained on.

    Returns:
        The difference to each rival, the mean over the generators that it was not trained on: the
        row of each single generator; `any single`, the mean of these; `best single`, the best on
        each generator in this very test, an oracle choice; the ensemble of the others, if it
        exists.
    """
    names = left_out_names(rate)
    lead = {
        (name, target): rate.at(POOLED + WITHOUT + target, target) - rate.at(name, target)
        for name in own(rate)
        for target in names
        if name != target
    }
    rivals = {
        name: mean(lead[name, target] for target in names if target != name)
        for name in own(rate)
        if any(target != name for target in names)
    }
    if not rivals:
        return {}
    rivals["any single"] = mean(rivals.values())
    rivals["best single"] = mean(
        min((lead[name, target] for name in own(rate) if name != target), key=lambda q: q[0])
        for target in names
        if any(name != target for name in own(rate))
    )
    if all(AVERAGE + WITHOUT + target in rate.trained_on for target in names):
        both = ((POOLED + WITHOUT + target, AVERAGE + WITHOUT + target, target) for target in names)
        rivals[AVERAGE] = mean(rate.at(a, target) - rate.at(b, target) for a, b, target in both)
    return rivals


def by_size(gap: Matrix, size: Mapping[str, float]) -> dict[str, Quantity]:
    """Mean gap from smaller to larger generators, and the reverse; equal sizes are left out.

    Args:
        gap: Of `matrix.acc_gap`.
        size: Parameters of each generator, in any unit.

    Raises:
        ValueError: No generator is larger than another.
    """
    pairs = [(a, b) for a in gap.trained_on for b in gap.tested_on if a in size and b in size]
    up = [gap.at(a, b) for a, b in pairs if size[a] < size[b]]
    down = [gap.at(a, b) for a, b in pairs if size[a] > size[b]]
    if not up:
        raise ValueError(f"no generator of {', '.join(gap.tested_on)} is larger than another")
    return {"smaller to larger": mean(up), "larger to smaller": mean(down)}


def mean(quantities: Iterable[Quantity]) -> Quantity:
    """Mean of some quantities, resample by resample.

    Raises:
        ValueError: There are none.
    """
    every = list(quantities)
    if not every:
        raise ValueError("nothing to compare: no generator has a row of its own and others")
    return np.mean(every, axis=0)
