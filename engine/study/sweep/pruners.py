"""Which trials are ended early, by what the objective was at their steps so far."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruner(ABC):
    """Decides whether a trial is ended early."""

    @abstractmethod
    def build(self, max_steps: int | None) -> "BasePruner":
        """Optuna's pruner.

        Args:
            max_steps: How many steps a trial takes; None where nothing says it.
        """


class Median(Pruner):
    """Ends a trial whose best value so far is worse than the median of the others at that step.

    Args:
        startup_trials: Trials that must have ended before any is pruned.
        warmup_steps: Steps of a trial before which it is not pruned.
        min_trials: How many trials must have a value at that step.
    """

    def __init__(self, startup_trials: int = 5, warmup_steps: int = 0, min_trials: int = 1):
        self.startup_trials = startup_trials
        self.warmup_steps = warmup_steps
        self.min_trials = min_trials

    def build(self, max_steps: int | None) -> "BasePruner":
        """Optuna's pruner."""
        from optuna.pruners import MedianPruner

        return MedianPruner(
            self.startup_trials, self.warmup_steps, n_min_trials=max(1, self.min_trials)
        )


class Hyperband(Pruner):
    """Successive halving in brackets of different severity (Li et al., 2018).

    Args:
        min_steps: Steps that every trial may take.
        reduction: One trial in so many goes on at each rung.
    """

    def __init__(self, min_steps: int = 1, reduction: int = 3):
        if min_steps < 1 or reduction < 2:
            raise ValueError(
                f"min_steps must be at least 1 and reduction at least 2, got {min_steps} and "
                f"{reduction}"
            )
        self.min_steps = min_steps
        self.reduction = reduction

    def build(self, max_steps: int | None) -> "BasePruner":
        """Optuna's pruner.

        Raises:
            ValueError: Trials are shorter than the least that each may take.
        """
        from optuna.pruners import HyperbandPruner

        if max_steps is not None and max_steps <= self.min_steps:
            raise ValueError(
                f"pruner: trials have {max_steps} steps, no more than min_steps {self.min_steps}"
            )
        most = "auto" if max_steps is None else max_steps
        return HyperbandPruner(self.min_steps, most, self.reduction)
