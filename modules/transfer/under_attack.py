"""What attacks cost: rates where texts are attacked against rates where they are as they are.

Who hides a machine's text attacks it, and leaves those of people alone: what an attack has no copy
of counts as it is.

Shape legend: N = texts, D = detectors, A = attacks, R = 1 + resamples (see `bootstrap`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import Resamples, Weights, part_by_part
from modules.metrics.classification import Rate
from modules.transfer.matrix import Matrix, mean_rate
from modules.transfer.scores import PLAIN, ScoreTable

Attacked = Mapping[str, ScoreTable]
"""Scores of one detector under each attack, those of the plain texts under `PLAIN`."""


def under_attack(
    found: Mapping[str, Sequence[Attacked]], rate: Rate, weights: Resamples | Weights
) -> Matrix:
    """A rate of every detector under each attack, the mean over its seeds; `PLAIN` comes first.

    Args:
        found: Scores of each detector, one a seed, as `scores.read` gives them.
        rate: What is measured, over all generators together.
        weights: How often each plain text counts in each resample, in the order of their ids.

    Raises:
        ValueError: Two detectors met different attacks, or an attacked text is not among the plain.
    """
    kinds = [set(one) for seeds in found.values() for one in seeds]
    if any(one != kinds[0] for one in kinds):
        raise ValueError(f"detectors met different attacks: {sorted(set().union(*kinds))} in all")
    attacks = [PLAIN, *sorted(kinds[0] - {PLAIN})]
    met_DA = [[[under(one, name) for one in seeds] for name in attacks] for seeds in found.values()]

    def quantity(weight_RN: Weights) -> NDArray[np.float64]:
        return np.array([[mean_rate(rate, one, weight_RN) for one in row] for row in met_DA])

    return Matrix(list(found), attacks, part_by_part(weights, quantity))


def under(one: Attacked, attack: str) -> ScoreTable:
    """What a detector said under one attack, by id; what was not attacked counts as it is."""
    plain, changed = one[PLAIN].where(np.argsort(one[PLAIN].id)), one[attack]
    place_C = np.searchsorted(plain.id, changed.id).clip(max=len(plain) - 1)
    if (plain.id[place_C] != changed.id).any():
        raise ValueError(f"attack {attack} has texts that the plain ones have not")
    p_machine_N, score_N = plain.p_machine.copy(), plain.score.copy()
    p_machine_N[place_C], score_N[place_C] = changed.p_machine, changed.score
    return plain.saying(p_machine_N, score_N)


def lost(rates: Matrix) -> Matrix:
    """By how much each attack lowers the rate."""
    lost_DAR = rates.quantity_DGR[:, :1] - rates.quantity_DGR[:, 1:]
    return Matrix(rates.trained_on, rates.tested_on[1:], lost_DAR)
