"""How well a classifier separates machine from human, on all texts and on each resample.

Positive means machine. Shape legend: N = texts, R = 1 + resamples (see `bootstrap`).
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import Quantity

THRESHOLD = 0.5
"""Probability from which on a text is called a machine's."""
SLACK = 1e-9
"""Share of texts that is allowed beyond a rate, as 0.29 * 100 is 28.999... in floats."""

Rate = Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]], Quantity]
"""Takes what `read_by` says [N], label [N] and how often each text counts [R, N]."""
Number = TypeVar("Number")


def accuracy(
    p_machine_N: NDArray[np.float64],
    label_N: NDArray[np.int64],
    weight_RN: NDArray[np.float32],
    threshold: float = THRESHOLD,
) -> Quantity:
    """Share of texts that are called what they are; NaN where no text is left."""
    right_N = (p_machine_N >= threshold) == (label_N == 1)
    return divide(weight_RN @ right_N.astype(np.float64), weight_RN.sum(1, dtype=np.float64))


def auroc(
    score_N: NDArray[np.float64], label_N: NDArray[np.int64], weight_RN: NDArray[np.float32]
) -> Quantity:
    """Share of (machine, human) pairs in which the machine's is higher; ties count half.

    With texts in groups of equal score, ascending: every machine text of a group beats the
    human ones of all groups below, and ties with those of its own. NaN where a class is missing.
    """
    _, group_N = np.unique(score_N, return_inverse=True)
    human_RG = in_groups(weight_RN * (label_N == 0), group_N)
    machine_RG = in_groups(weight_RN * (label_N == 1), group_N)
    below_RG = np.cumsum(human_RG, axis=1) - human_RG
    won_R = (machine_RG * (below_RG + human_RG / 2)).sum(1)
    return divide(won_R, machine_RG.sum(1) * human_RG.sum(1))


def true_positive_rate(
    score_N: NDArray[np.float64],
    label_N: NDArray[np.int64],
    weight_RN: NDArray[np.float32],
    false_positive_rate: float = 0.01,
) -> Quantity:
    """Share of machine texts above the lowest threshold that lets so few human texts pass.

    With fewer than 1 / `false_positive_rate` human texts no human one may pass at all. NaN where a
    class is missing.
    """
    _, group_N = np.unique(-score_N, return_inverse=True)
    passed_RG, caught_RG = (
        np.cumsum(in_groups(weight_RN * (label_N == label), group_N), axis=1) for label in (0, 1)
    )
    is_allowed_RG = few_enough(passed_RG, passed_RG[:, -1:], false_positive_rate)
    most_R = np.where(is_allowed_RG, caught_RG, 0).max(1)
    defined_R = np.where(passed_RG[:, -1] > 0, caught_RG[:, -1], 0)
    return divide(most_R, defined_R)


def few_enough(passed: Number, whole: Number, rate: float) -> Number:
    """Whether no more than a share of texts has passed, for arrays and tensors alike.

    Args:
        passed: How many have.
        whole: How many there are.
        rate: The share.
    """
    return passed <= (rate + SLACK) * whole  # type: ignore


def in_groups(weight_RN: NDArray[np.float32], group_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights added up over the texts of each group, [R, G]."""
    order_N = np.argsort(group_N, kind="stable")
    first_G = np.searchsorted(group_N[order_N], np.arange(group_N.max() + 1))
    return np.add.reduceat(weight_RN[:, order_N].astype(np.float64), first_G, axis=1)


def divide(part_R: Quantity, whole_R: Quantity) -> Quantity:
    """Part over whole; NaN where the whole is 0."""
    return np.divide(part_R, whole_R, out=np.full(part_R.shape, np.nan), where=whole_R > 0)
