"""What training on one distribution of problems is worth on others (2406.15992, sec. 4).

    performance gap recovered = (a - u) / (o - u)

of the accuracies on one test set of a model that was trained on another distribution (a), of the
untuned model (u), and of the model that was trained on this one (o). The form is our reading: the
paper's exact one, and its test of significance, are not known.

Shape legend: N = questions of a test set, R = 1 + resamples, D = rows, G = columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from modules.graph.significance import holm, mcnemar, two_proportions
from modules.metrics.bootstrap import Interval, Quantity, Resamples, interval, part_by_part
from modules.transfer.matrix import Matrix

UNTUNED = "untuned"
"""Name of the row of the model that was not trained on any of the distributions."""
LEVEL = 0.01
"""Of significance (2406.15992)."""
STRONG = 0.8
"""Performance gap recovered of a strong recovery, at least (2406.15992)."""
Right = NDArray[np.bool_]
"""Whether each answer is right, [S, N] for S seeds."""


@dataclass(frozen=True)
class Answers:
    """All answers of a grid: of each row on each test set.

    Attributes:
        right: Whether they are right, by row and test set, [S, N]; all rows of one test set answer
            the same questions in the same order.
    """

    right: Mapping[str, Mapping[str, Right]]

    @property
    def rows(self) -> list[str]:
        """What was trained on."""
        return list(self.right)

    @property
    def columns(self) -> list[str]:
        """What was tested on: those with a row of their own first, in its order."""
        every = list(dict.fromkeys(name for row in self.right.values() for name in row))
        own = [name for name in self.right if name in every]
        return [*own, *(name for name in every if name not in own)]


@dataclass(frozen=True)
class TransferPair:
    """Transfer from one distribution to another.

    Attributes:
        trained_on: The one.
        tested_on: The other.
        accuracy: Of the transferred model.
        untuned: Of the untuned model.
        own: Of the model trained on the other; None without one.
        recovered: Performance gap recovered; None where training on the other distribution itself
            gains nothing significant.
        p_mcnemar: Of the difference to the untuned model, paired, corrected by Holm.
        p_two_proportions: The same, not paired.
    """

    trained_on: str
    tested_on: str
    accuracy: float
    untuned: float
    own: float | None
    recovered: Interval | None
    p_mcnemar: float
    p_two_proportions: float

    @property
    def is_significant(self) -> bool:
        """Significant Transfer: better than the untuned model."""
        return self.accuracy > self.untuned and self.p_mcnemar < LEVEL

    @property
    def is_harmful(self) -> bool:
        """Significantly worse than the untuned model."""
        return self.accuracy < self.untuned and self.p_mcnemar < LEVEL

    @property
    def is_strong(self) -> bool:
        """Strong Recovery."""
        return self.recovered is not None and self.recovered.value >= STRONG

    def row(self) -> dict[str, object]:
        """As a line of a table."""
        known = self.recovered
        ends = ("", "", "") if known is None else (known.value, known.low, known.high)
        numbers = dict(zip(("recovered", "low", "high"), ends, strict=True))
        return {
            "trained_on": self.trained_on,
            "tested_on": self.tested_on,
            "accuracy": self.accuracy,
            "untuned": self.untuned,
            "own": "" if self.own is None else self.own,
            **numbers,
            "p_mcnemar": self.p_mcnemar,
            "p_two_proportions": self.p_two_proportions,
            "significant": self.is_significant,
            "strong": self.is_strong,
            "harmful": self.is_harmful,
        }


def accuracies(answers: Answers, num_resamples: int) -> Matrix:
    """Accuracy of every row on every test set, the mean over seeds, with paired resamples.

    Cells that were not measured are NaN.
    """
    columns = answers.columns
    cells = np.full((len(answers.rows), len(columns), 1 + num_resamples), np.nan)
    for g, column in enumerate(columns):
        known = [d for d, row in enumerate(answers.right.values()) if column in row]
        right_DN = np.stack([answers.right[answers.rows[d]][column].mean(0) for d in known])
        weights = Resamples(np.arange(right_DN.shape[1]), num_resamples)
        cells[known, g] = part_by_part(weights, partial(share, right_DN))
    return Matrix(answers.rows, columns, cells)


def share(right_DN: NDArray[np.float64], weight_RN: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weighted means of each row, [D, R]."""
    found: NDArray[np.float64] = right_DN @ weight_RN.T / weight_RN.sum(1)
    return found


def recovered(accuracy: Matrix, row: str, column: str) -> Quantity:
    """Performance gap recovered, [R]; NaN where the own gain is nothing."""
    base = accuracy.at(UNTUNED, column)
    gain_R, own_R = accuracy.at(row, column) - base, accuracy.at(column, column) - base
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(own_R == 0, np.nan, gain_R / own_R)


def pairs(
    answers: Answers, accuracy: Matrix, rows: Sequence[str] | None = None
) -> list[TransferPair]:
    """Every transfer from one distribution to another.

    Args:
        answers: All answers, those of the untuned model among them.
        accuracy: Their accuracies.
        rows: The rows that count; None takes those that a test set is named after.

    Raises:
        ValueError: There is no untuned model.
    """
    if UNTUNED not in answers.right:
        raise ValueError(f"no row {UNTUNED}: transfer is measured against it")
    chosen = rows or [name for name in answers.rows if name in answers.columns]
    cells = [
        (row, column)
        for row in chosen
        for column in answers.columns
        if row != column and column in answers.right[row] and column in answers.right[UNTUNED]
    ]
    paired = holm([mcnemar(*compared(answers, *cell)) for cell in cells])
    apart = holm([proportions(*compared(answers, *cell)) for cell in cells])
    return [
        pair(answers, accuracy, *cell, *both)
        for cell, *both in zip(cells, paired, apart, strict=True)
    ]


def pair(
    answers: Answers, accuracy: Matrix, row: str, column: str, paired: float, apart: float
) -> TransferPair:
    """One transfer."""
    own, known = None, None
    if column in answers.right and column in answers.right[column]:
        own = float(accuracy.at(column, column)[0])
        if gains(answers, column):
            known = interval(recovered(accuracy, row, column))
    value, base = (float(accuracy.at(name, column)[0]) for name in (row, UNTUNED))
    return TransferPair(row, column, value, base, own, known, paired, apart)


def gains(answers: Answers, column: str) -> bool:
    """Whether training on a distribution itself gains something significant on it."""
    trained, untuned = compared(answers, column, column)
    return bool(trained.mean() > untuned.mean() and mcnemar(trained, untuned) < LEVEL)


def compared(answers: Answers, row: str, column: str) -> tuple[Right, Right]:
    """Answers of a row and of the untuned model to the same questions, of the seeds of both."""
    trained, untuned = answers.right[row][column], answers.right[UNTUNED][column]
    num = min(len(trained), len(untuned))
    return trained[:num].ravel(), untuned[:num].ravel()


def proportions(trained: Right, untuned: Right) -> float:
    """The p-value of two shares of right answers."""
    return two_proportions(int(trained.sum()), trained.size, int(untuned.sum()), untuned.size)


def counts(found: Sequence[TransferPair]) -> dict[str, int]:
    """How many transfers there are, and of which sort."""
    return {
        "pairs": len(found),
        "significant": sum(one.is_significant for one in found),
        "strong": sum(one.is_strong for one in found),
        "both": sum(one.is_significant and one.is_strong for one in found),
        "harmful": sum(one.is_harmful for one in found),
        "undefined": sum(one.own is not None and one.recovered is None for one in found),
    }


def words(found: Sequence[TransferPair]) -> Iterator[str]:
    """The counts as a line, and each transfer as one."""
    num = counts(found)
    yield (
        f"{num['pairs']} transfers: {num['significant']} significant, {num['strong']} strong "
        f"recoveries, {num['both']} both; {num['harmful']} harmful; of {num['undefined']} the gap "
        "is undefined, as training on the test's own distribution gains nothing significant"
    )
    for one in sorted(found, key=lambda one: -one.accuracy):
        gap = "undefined" if one.recovered is None else str(one.recovered)
        yield (
            f"{one.trained_on} -> {one.tested_on}: {one.accuracy:.3f}, untuned {one.untuned:.3f}, "
            f"recovered {gap}, p {one.p_mcnemar:.2g}"
        )
