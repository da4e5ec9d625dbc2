"""The k highest scores. Shape legend: Q = queries, N = keys, K = keys wanted."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


class Ranking(NamedTuple):
    """The best keys of each query, the best first.

    Attributes:
        index_QK: Indices of the keys, int64.
        score_QK: Their scores.
    """

    index_QK: NDArray[np.int64]
    score_QK: Scores


def best(score_N: Scores, k: int) -> tuple[NDArray[np.int64], Scores]:
    """Indices and values of the k highest scores, descending; of equal ones, the first."""
    least = np.partition(score_N, -k)[-k]
    candidate = np.flatnonzero(score_N >= least)
    chosen = candidate[np.argsort(-score_N[candidate], kind="stable")[:k]]
    return chosen, score_N[chosen]


def best_of_each(rows: Iterable[Scores], k: int) -> Ranking:
    """The k best keys of each query.

    Args:
        rows: Scores of all keys, [N], of one query after another.
        k: From 1 to N.
    """
    found = [best(score_N, k) for score_N in rows]
    index_QK = np.array([index for index, _ in found], np.int64).reshape(-1, k)
    return Ranking(index_QK, np.array([score for _, score in found]).reshape(-1, k))


def merged(one: Ranking, other: Ranking, k: int) -> Ranking:
    """The k best of two rankings of different keys; of equal scores, those of the first."""
    index_QM = np.concatenate([one.index_QK, other.index_QK], axis=1)
    score_QM = np.concatenate([one.score_QK, other.score_QK], axis=1)
    place_QK, score_QK = best_of_each(score_QM, min(k, score_QM.shape[1]))
    return Ranking(np.take_along_axis(index_QM, place_QK, axis=1), score_QK)
