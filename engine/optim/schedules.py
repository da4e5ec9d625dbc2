"""Learning-rate schedules that take their length from the config."""

from math import cos, pi
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def warm_up(step: int, warmup_steps: int) -> float:
    """Share of the full rate during a linear warm-up; the first step already learns."""
    return min(1.0, (step + 1) / (warmup_steps + 1))


def progress(step: int, warmup_steps: int, total_steps: int) -> float:
    """Fraction of the decay that is done, in [0, 1]."""
    return min(1.0, max(0.0, (step - warmup_steps) / max(1, total_steps - warmup_steps)))


def check_steps(warmup_steps: int, total_steps: int) -> None:
    """Refuse a schedule whose length is unknown."""
    if total_steps < 1 or warmup_steps < 0:
        raise ValueError(
            f"a schedule needs warmup_steps >= 0 and total_steps >= 1, got warmup_steps "
            f"{warmup_steps}, total_steps {total_steps}; set trainer.max_steps, "
            "also where epochs are counted: how many steps one has is known once data are read"
        )


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to a floor.

    Args:
        optimizer: Its learning rates are the peaks.
        total_steps: Optimizer steps until the floor is reached.
        warmup_steps: Optimizer steps until the peak is reached.
        floor: Share of the peak that is kept at the end.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, floor: float = 0.1
    ):
        check_steps(warmup_steps, total_steps)

        def share(step: int) -> float:
            left = (1 + cos(pi * progress(step, warmup_steps, total_steps))) / 2
            return warm_up(step, warmup_steps) * (floor + (1 - floor) * left)

        super().__init__(optimizer, share)


class WarmupLinear(LambdaLR):
    """Linear warm-up, then a straight line down to a floor.

    Args:
        optimizer: Its learning rates are the peaks.
        total_steps: Optimizer steps until the floor is reached.
        warmup_steps: Optimizer steps until the peak is reached.
        floor: Share of the peak that is kept at the end.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, floor: float = 0.0
    ):
        check_steps(warmup_steps, total_steps)

        def share(step: int) -> float:
            left = 1 - progress(step, warmup_steps, total_steps)
            return warm_up(step, warmup_steps) * (floor + (1 - floor) * left)

        super().__init__(optimizer, share)


class WarmupStableDecay(LambdaLR):
    """Linear warm-up, the full rate, then a straight line down to a floor.

    Args:
        optimizer: Its learning rates are the peaks.
        total_steps: Optimizer steps until the floor is reached.
        warmup_steps: Optimizer steps until the peak is reached.
        decay: Share of the steps that the rate falls in, at the end.
        floor: Share of the peak that is kept at the end.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_steps: int = 0,
        decay: float = 0.5,
        floor: float = 0.0,
    ):
        check_steps(warmup_steps, total_steps)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], got {decay}")
        start = max(warmup_steps, round((1 - decay) * total_steps))

        def share(step: int) -> float:
            left = 1 - progress(step, start, total_steps)
            return warm_up(step, warmup_steps) * (floor + (1 - floor) * left)

        super().__init__(optimizer, share)


class WarmupConstant(LambdaLR):
    """Linear warm-up, then the full rate.

    Args:
        optimizer: Its learning rates are the peaks.
        warmup_steps: Optimizer steps until the peak is reached.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int = 0):
        check_steps(warmup_steps, max(1, warmup_steps))
        super().__init__(optimizer, lambda step: warm_up(step, warmup_steps))


class Plateau(ReduceLROnPlateau):
    """The full rate until a quantity of the validations no longer gets better, then less.

    Args:
        optimizer: Its learning rates are where it begins.
        monitor: The quantity, such as `validate/loss`.
        mode: Whether it is to fall (`min`) or to rise (`max`).
        factor: What the rates are multiplied by.
        patience: Validations without a better value that are let pass.
        threshold: How much better counts, as a share of the best value.
        min_lr: Rates stay above it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: str,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
    ):
        super().__init__(optimizer, mode, factor, patience, threshold, min_lr=min_lr)
        self.monitor = monitor
