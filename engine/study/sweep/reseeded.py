"""A sampler that starts anew for each trial."""

from collections.abc import Callable
from typing import Any

from numpy.random import SeedSequence
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from typing_extensions import override


def trial_seed(seed: int, number: int) -> int:
    """Seed of the draws of a trial."""
    return int(SeedSequence([seed, number]).generate_state(1)[0])


class Reseeded(BaseSampler):
    """Draws for each trial by a sampler of its own, seeded by the trial's number.

    Optuna's samplers begin their random numbers anew when a study is resumed, and would draw what
    they have drawn before.

    Args:
        build: Makes a sampler from a seed.
        seed: Of the sweep.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int):
        self.build = build
        self.seed = seed
        self.inner = build(seed)

    @override
    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner = self.build(trial_seed(self.seed, trial.number))
        self.inner.before_trial(study, trial)

    @override
    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(study, trial)

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(study, trial, search_space)

    @override
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    @override
    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        self.inner.after_trial(study, trial, state, values)
