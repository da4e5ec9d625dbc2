"""Transfer matrices, training sets x test sets: rates, gaps and arrows.

    Acc-Gap of detector M on generator N = Acc_N(D_N) - Acc_N(D_M)     (2310.05165, fig. 1)

An arrow M -> N means that the gap is below 1, 2 or 4 points: what was trained on M transfers to N.
The formula is read from the figure's legend; the paper does not state it.

Shape legend: N = texts, D = rows (trained on), G = columns (tested on), R = 1 + resamples (see
`bootstrap`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import (
    Interval,
    Quantity,
    Resamples,
    Weights,
    interval,
    part_by_part,
)
from modules.metrics.classification import Rate, accuracy
from modules.transfer.scores import ScoreTable

THRESHOLDS = (0.01, 0.02, 0.04)
"""Gaps below which the paper draws an arrow."""


@dataclass(frozen=True)
class Matrix:
    """A quantity of every training set on every test set.

    Attributes:
        trained_on: Names of the rows.
        tested_on: Names of the columns.
        quantity_DGR: On all texts and on each resample, [D, G, R]; NaN if it was not measured.
    """

    trained_on: list[str]
    tested_on: list[str]
    quantity_DGR: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.float64]:
        """On all texts, [D, G]."""
        return self.quantity_DGR[:, :, 0]

    def at(self, trained_on: str, tested_on: str) -> Quantity:
        """One cell, [R].

        Raises:
            ValueError: There is no such row or column.
        """
        names = (trained_on, self.trained_on, "trained"), (tested_on, self.tested_on, "tested")
        for name, known, verb in names:
            if name not in known:
                raise ValueError(f"nothing was {verb} on {name}; there are {', '.join(known)}")
        return self.quantity_DGR[self.trained_on.index(trained_on), self.tested_on.index(tested_on)]

    def interval(self, trained_on: str, tested_on: str) -> Interval:
        """One cell and its interval."""
        return interval(self.at(trained_on, tested_on))


def measured(
    found: Mapping[str, Sequence[ScoreTable]],
    rate: Rate,
    weights: Resamples | Weights,
    generators: Sequence[str],
) -> Matrix:
    """A rate of every row on every generator, the mean over its seeds.

    Args:
        found: Scores of each row, one per seed, all on the same texts in the same order
            (`scores.aligned`).
        rate: What is measured, such as `modules.metrics.classification.accuracy`.
        weights: How often each text counts in each resample.
        generators: The columns.
    """
    first = next(iter(found.values()))[0]
    chosen_G = [np.flatnonzero(first.pairs_of(generator)) for generator in generators]
    tested_DG = [
        [[one.where(chosen_N) for one in seeds] for chosen_N in chosen_G]
        for seeds in found.values()
    ]

    def quantity(weight_RN: Weights) -> NDArray[np.float64]:
        parts_G = [weight_RN[:, chosen_N] for chosen_N in chosen_G]
        rows = [
            [mean_rate(rate, seeds, part) for seeds, part in zip(row, parts_G, strict=True)]
            for row in tested_DG
        ]
        return np.array(rows)

    return Matrix(list(found), list(generators), part_by_part(weights, quantity))


def mean_rate(rate: Rate, seeds: Sequence[ScoreTable], weight_RN: Weights) -> Quantity:
    """A rate, the mean over the seeds of a row."""
    rates = [rate(read_by(rate, one), one.label, weight_RN) for one in seeds]
    found: Quantity = np.mean(rates, axis=0)
    return found


def acc_gap(accuracy: Matrix) -> Matrix:
    """Accuracy lost on a test set against the row that was trained on it.

    Only test sets with a row of the same name have a column.

    Raises:
        ValueError: None has.
    """
    own = [name for name in accuracy.tested_on if name in accuracy.trained_on]
    if not own:
        names = f"{', '.join(accuracy.trained_on)}; columns: {', '.join(accuracy.tested_on)}"
        raise ValueError(f"no row is named after a column. Rows: {names}")
    columns = [
        accuracy.at(name, name) - accuracy.quantity_DGR[:, accuracy.tested_on.index(name)]
        for name in own
    ]
    return Matrix(accuracy.trained_on, own, np.stack(columns, axis=1))


@dataclass(frozen=True)
class Arrow:
    """Transfer from one generator to another: a gap below a threshold.

    Attributes:
        source: The generator trained on.
        target: The generator tested on.
        gap: Accuracy lost, with its interval.
        below: The least of the thresholds that the gap is below.
    """

    source: str
    target: str
    gap: Interval
    below: float

    def __str__(self) -> str:
        """As in the paper, with the interval in points."""
        return f"{self.source} -> {self.target}  < {100 * self.below:g} %  ({self.gap.points()})"


def arrows(gap: Matrix, thresholds: Sequence[float] = THRESHOLDS) -> list[Arrow]:
    """The arrows between generators, the smallest gap first.

    Args:
        gap: Of `acc_gap`.
        thresholds: Largest gaps, as shares.
    """
    found = []
    for source in gap.trained_on:
        for target in gap.tested_on:
            lost = gap.interval(source, target)
            below = [one for one in sorted(thresholds) if lost.value < one]
            if source != target and source in gap.tested_on and below:
                found.append(Arrow(source, target, lost, below[0]))
    return sorted(found, key=lambda arrow: arrow.gap.value)


def read_by(rate: Rate, scores: ScoreTable) -> NDArray[np.float64]:
    """What a rate is computed from: accuracy from probabilities (at 0.5), others from scores.

    Those use ranks, and probabilities of different scores may round to the same number, such as 1.
    """
    return scores.p_machine if rate is accuracy else scores.score
