"""Whether one share of right answers differs from another, and corrections for many comparisons."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray


def two_proportions(right_a: int, num_a: int, right_b: int, num_b: int) -> float:
    """Two-sided p-value of two shares, by the normal approximation with their common share.

    Raises:
        ValueError: One of them has no answers.
    """
    from scipy.special import ndtr  # type: ignore[import-untyped]

    if num_a < 1 or num_b < 1:
        raise ValueError(f"shares need answers, got {num_a} and {num_b}")
    common = (right_a + right_b) / (num_a + num_b)
    spread = sqrt(common * (1 - common) * (1 / num_a + 1 / num_b))
    if spread == 0:
        return 1.0
    return float(2 * ndtr(-abs(right_a / num_a - right_b / num_b) / spread))


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> float:
    """Two-sided p-value of the same questions answered twice: the exact test (McNemar, 1947).

    Under the null hypothesis a question that only one side gets right is as likely to be either's.

    Raises:
        ValueError: The sides have different numbers of answers.
    """
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    if right_a.shape != right_b.shape:
        raise ValueError(f"pairs of answers: {right_a.shape} and {right_b.shape}")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, 1979).

    By chance, any of them falls below a level only as often as the level says.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        found[index] = largest
    return found
