"""How the values of a trial are drawn: TPE, at random, or every combination once.

The generator of each trial is seeded by the sweep's seed and the trial's number. So a study with
one worker is the same at every repetition, also after a kill, and several workers never draw the
same.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from engine.study.sweep.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

FEW = 20
"""Number of trials where nothing says how many."""


class Search(ABC):
    """Draws the values of trials."""

    @abstractmethod
    def build(self, seed: int) -> "BaseSampler":
        """Optuna's sampler for one trial.

        Args:
            seed: Of its generator.
        """

    def points(self, space: Space, num_trials: int | None) -> list[dict[str, Any]]:
        """What is settled of each trial before the sweep begins: here nothing.

        Args:
            space: The space.
            num_trials: How many trials are wanted.
        """
        return [{} for _ in range(FEW if num_trials is None else num_trials)]


class TPE(Search):
    """Tree-structured Parzen estimator (Bergstra et al., 2011); also for several objectives.

    Args:
        startup_trials: First trials that are drawn at random.
        multivariate: Whether keys are drawn together (Falkner et al., 2018), in groups that exist
            together.
    """

    def __init__(self, startup_trials: int = 10, multivariate: bool = False):
        if startup_trials < 1:
            raise ValueError(f"startup_trials must be at least 1, got {startup_trials}")
        self.startup_trials = startup_trials
        self.multivariate = multivariate

    def build(self, seed: int) -> "BaseSampler":
        """Optuna's sampler; running trials of other workers count as bad ones."""
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.startup_trials,
            multivariate=self.multivariate,
            group=self.multivariate,
            constant_liar=True,
            seed=seed,
        )


class RandomSearch(Search):
    """Independent draws."""

    def build(self, seed: int) -> "BaseSampler":
        """Optuna's sampler."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed)


class GridSearch(RandomSearch):
    """Every combination once; ranges need a step."""

    def points(self, space: Space, num_trials: int | None) -> list[dict[str, Any]]:
        """All combinations, or as many of them as are wanted, the last key turning fastest."""
        return space.points()[:num_trials]
