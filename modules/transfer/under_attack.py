"""Loss under attacks: rates on attacked texts against rates on the plain texts.

An attacker hides machine texts and leaves human texts alone: a text without an attacked copy counts
unchanged.

Shape legend: N = texts, D = rows, A = attacks, R = 1 + resamples (see `bootstrap`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import Resamples, Weights, part_by_part
from modules.metrics.classification import Rate
from modules.transfer.matrix import Matrix, mean_rate
from modules.transfer.scores import PLAIN, ScoreTable

Attacked = Mapping[str, ScoreTable]
"""Scores of one row under each attack, those of the plain texts under `PLAIN`."""


def under_attack(
    found: Mapping[str, Sequence[Attacked]], rate: Rate, weights: Resamples | Weights
) -> Matrix:
    """A rate of every row under each attack, the mean over its seeds; `PLAIN` comes first.

    Args:
        found: Scores of each row, one per seed, as `scores.read` gives them.
        rate: What is measured, over all generators together.
        weights: How often each plain text counts in each resample, in the order of their ids.

    Raises:
        ValueError: Two rows have different attacks, or an attacked text is not among the plain.
    """
    kinds = [set(one) for seeds in found.values() for one in seeds]
    if any(one != kinds[0] for one in kinds):
        raise ValueError(f"rows have different attacks: {sorted(set().union(*kinds))} in all")
    attacks = [PLAIN, *sorted(kinds[0] - {PLAIN})]
    met_DA = [[[under(one, name) for one in seeds] for name in attacks] for seeds in found.values()]

    def quantity(weight_RN: Weights) -> NDArray[np.float64]:
        return np.array([[mean_rate(rate, one, weight_RN) for one in row] for row in met_DA])

    return Matrix(list(found), attacks, part_by_part(weights, quantity))


def under(one: Attacked, attack: str) -> ScoreTable:
    """Scores under one attack, by id; texts that were not attacked keep their plain scores."""
    plain, changed = one[PLAIN].where(np.argsort(one[PLAIN].id)), one[attack]
    index_C = np.searchsorted(plain.id, changed.id).clip(max=len(plain) - 1)
    if (plain.id[index_C] != changed.id).any():
        raise ValueError(f"attack {attack} has texts that are not among the plain ones")
    p_machine_N, score_N = plain.p_machine.copy(), plain.score.copy()
    p_machine_N[index_C], score_N[index_C] = changed.p_machine, changed.score
    return plain.saying(p_machine_N, score_N)


def lost(rates: Matrix) -> Matrix:
    """How much each attack lowers the rate."""
    lost_DAR = rates.quantity_DGR[:, :1] - rates.quantity_DGR[:, 1:]
    return Matrix(rates.trained_on, rates.tested_on[1:], lost_DAR)
