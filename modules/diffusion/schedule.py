"""Noise schedules: how much signal is left at each diffusion step.

Steps t run from 0 (clean) to T (noise); abar_t is the fraction of variance that is still signal.
It comes in float64, so that 1 - abar keeps its digits near t = 0, and abar near t = T.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from math import log, pi

import torch
from torch import Tensor


class Schedule(ABC):
    """Signal left at each of T steps; hashable, so that tables are made once.

    Attributes:
        num_steps: T, the last step.
    """

    num_steps: int

    @abstractmethod
    def signal(self, step: Tensor) -> Tensor:
        """Signal left, abar_t, of the steps' shape; 1 at t = 0.

        Args:
            step: Steps t in [0, T].
        """


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """Cosine schedule of Nichol & Dhariwal (2021), eq. 17, with the bound on beta of sec. 3.2.

    Signal left at time u = t / T:

        abar(u) = cos^2(pi/2 * (u + s) / (1 + s)) / cos^2(pi/2 * s / (1 + s))

    Attributes:
        num_steps: Number of steps T.
        offset: The paper's s; keeps the first step from being noise-free.
        max_beta: Largest share of the variance that one step may replace. It keeps abar_T above 0,
            where noise says nothing of x_0. 1 leaves the formula as it is, for real t as well.
    """

    num_steps: int = 1000
    offset: float = 0.008
    max_beta: float = 0.999

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        require_steps(self.num_steps)
        if self.offset < 0:
            raise ValueError(f"offset must not be negative, got {self.offset}")
        if not 0 < self.max_beta <= 1:
            raise ValueError(f"max_beta must lie in (0, 1], got {self.max_beta}")

    def signal(self, step: Tensor) -> Tensor:
        """Signal left, abar_t; whole steps only where `max_beta` is below 1."""
        if self.max_beta < 1:
            return look_up(self, step)
        phase = pi / 2 / (1 + self.offset)
        left = 1 - step.to(widest(step.device)) / self.num_steps
        # cos(pi/2 - x) = sin(x): exactly 0 at t = T, and no digits lost before it
        amplitude = torch.sin(phase * left) / torch.sin(phase * torch.ones_like(left))
        return (amplitude**2).clamp(0.0, 1.0)

    def betas(self) -> Tensor:
        """Share of the variance that each step t = 1, ..., T replaces by noise, [T], float64."""
        formula = CosineSchedule(self.num_steps, self.offset, max_beta=1.0)
        abar = formula.signal(torch.arange(self.num_steps + 1))
        return (1 - abar[1:] / abar[:-1]).clamp(max=self.max_beta)


@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """Betas in equal steps (Ho et al., 2020, sec. 4), for comparison.

    Attributes:
        num_steps: Number of steps T.
        first_beta: Share of the variance that step 1 replaces by noise.
        last_beta: The same of step T.
    """

    num_steps: int = 1000
    first_beta: float = 1e-4
    last_beta: float = 0.02

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        require_steps(self.num_steps)
        if not 0 < self.first_beta <= self.last_beta < 1:
            raise ValueError(
                f"betas must rise within (0, 1), got {self.first_beta} to {self.last_beta}"
            )

    def signal(self, step: Tensor) -> Tensor:
        """Signal left, abar_t; whole steps only."""
        return look_up(self, step)

    def betas(self) -> Tensor:
        """Share of the variance that each step t = 1, ..., T replaces by noise, [T], float64."""
        return torch.linspace(self.first_beta, self.last_beta, self.num_steps, dtype=torch.float64)


@dataclass(frozen=True)
class EvenSchedule(Schedule):
    """Signal that falls by the same amount at each step, abar_t = 1 - t / T.

    The log-linear schedule of masked diffusion (Sahoo et al., 2024, app. E.1), in which each step
    hides the same share of the tokens.

    Attributes:
        num_steps: T.
    """

    num_steps: int = 1000

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        require_steps(self.num_steps)

    def signal(self, step: Tensor) -> Tensor:
        """Signal left, abar_t."""
        return 1 - step.to(widest(step.device)) / self.num_steps


@dataclass(frozen=True)
class ShiftedSchedule(Schedule):
    """Another schedule, its log-SNR moved (Hoogeboom et al., 2023, sec. 3.1) and drawn together.

    Where neighbouring pixels say the same, noise hides less of an image: one twice as wide, or of
    large plain areas, is still read at steps at which its caption should matter.

        log-SNR(t) = spread * log-SNR of the other(t) + 2 log(factor)

    Attributes:
        schedule: The other schedule.
        factor: On alpha / sigma; below 1 there is more noise. The paper's 64 / width.
        spread: Below 1 more steps are spent around the noise level of the middle step, where the
            cosine schedule has a log-SNR of about 0. The paper has none: our choice.
    """

    schedule: Schedule
    factor: float
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        for name in ("factor", "spread"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    @property
    def num_steps(self) -> int:  # type: ignore[override]
        """T, that of the other schedule."""
        return self.schedule.num_steps

    def signal(self, step: Tensor) -> Tensor:
        """Signal left, abar_t, where the other schedule takes such steps."""
        log_snr_t = log_snr(self.schedule.signal(step))
        return torch.sigmoid(self.spread * log_snr_t + 2 * log(self.factor))


def log_snr(abar: Tensor) -> Tensor:
    """Logarithm of signal variance over noise variance; infinite at t = 0 (Kingma et al., 2021)."""
    return torch.logit(abar)


def look_up(schedule: CosineSchedule | LinearSchedule, step: Tensor) -> Tensor:
    """Signal left at whole steps, from the schedule's betas."""
    if step.is_floating_point():
        raise TypeError(f"steps of a schedule given by its betas are whole, got {step.dtype}")
    return signal_table(schedule, step.device)[step]


@cache
def signal_table(schedule: CosineSchedule | LinearSchedule, device: torch.device) -> Tensor:
    """Signal left at steps 0, ..., T: the product of 1 - beta so far (Ho et al., 2020, eq. 4)."""
    one = torch.ones(1, dtype=torch.float64)
    abar = torch.cat([one, torch.cumprod(1 - schedule.betas(), 0)])
    return abar.to(device, widest(device))


def widest(device: torch.device) -> torch.dtype:
    """The widest floating type that a device has."""
    return torch.float32 if device.type == "mps" else torch.float64


def require_steps(num_steps: int) -> None:
    """Refuse a schedule without steps."""
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
