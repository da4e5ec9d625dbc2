"""How much each key of a space matters."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from engine.study.sweep.space.space import Space
from engine.study.sweep.space.values import NumberRange

LEAST = 4
"""Trials that importances need."""


def importances(
    space: Space, trials: Sequence[Mapping[str, Any]], values: Sequence[float]
) -> dict[str, float]:
    """Share of the variance of an objective that each key accounts for (fANOVA), most first.

    Keys that some trials do not have are left out; of one whose range depends on others, the ranges
    count as one.

    Args:
        space: The space.
        trials: Values of each finished trial, by key.
        values: Of the objective.

    Returns:
        Importances, whose sum is 1; none of too few trials, or where all values are the same.
    """
    keys = [key for key in space.keys if all(key in trial for trial in trials)]
    if len(trials) < LEAST or not keys or len(set(values)) < 2:
        return {}
    of_key = {key: distribution(space, key) for key in keys}
    study = optuna.create_study()
    for trial, value in zip(trials, values, strict=True):
        params = {key: as_kept(trial[key], of_key[key]) for key in keys}
        one = optuna.create_trial(params=params, distributions=of_key, value=value)
        study.add_trial(one)
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def distribution(space: Space, key: str) -> BaseDistribution:
    """All values of a key: the range that holds its ranges, or all that any condition allows."""
    kinds = [one.values for one in space.dimensions if one.key == key]
    ranges = [one for one in kinds if isinstance(one, NumberRange)]
    if len(ranges) == len(kinds):
        low, high = min(one.low for one in ranges), max(one.high for one in ranges)
        return FloatDistribution(low, high, log=all(one.log for one in ranges))
    return CategoricalDistribution([*dict.fromkeys(str(v) for k in kinds for v in k.all(key))])


def as_kept(value: Any, of_key: BaseDistribution) -> Any:
    """A value as its distribution has it."""
    return float(value) if isinstance(of_key, FloatDistribution) else str(value)
