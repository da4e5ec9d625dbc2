"""One step of a sampler, from x_t to x_s at an earlier step s; pure functions and their rules.

Each knows the signal left at both ends as plain numbers, in double precision.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, sqrt

from torch import Tensor

SHORT = 15
"""Fewer steps than these are few: DPM-Solver++ then ends at first order, as its authors' code."""


@dataclass(frozen=True)
class Estimate:
    """What the network says of x_t, as both of its parts.

    Attributes:
        x_0: The clean sample.
        eps: The noise.
    """

    x_0: Tensor
    eps: Tensor


@dataclass(frozen=True)
class Move:
    """From where to where a step goes.

    Attributes:
        abar_before: Signal left one step before x_t; None at the first step.
        abar_t: Signal left in x_t.
        abar_s: Signal left in x_s, more than in x_t.
        num_left: Steps still to go, this one included.
        num_steps: Steps in all.
    """

    abar_before: float | None
    abar_t: float
    abar_s: float
    num_left: int
    num_steps: int


class Solver(ABC):
    """A rule to go from step t to an earlier step s."""

    @abstractmethod
    def step(
        self,
        x_t: Tensor,
        now: Estimate,
        before: Estimate | None,
        move: Move,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """The sample x_s.

        Args:
            x_t: The sample.
            now: The network's estimate at x_t.
            before: Its estimate one step before; None at the first step.
            move: From where to where.
            draw: Fresh standard normal noise of the samples' shape.
        """


@dataclass(frozen=True)
class DDPM(Solver):
    """Ancestral sampling over any subset of steps (Ho et al., 2020, alg. 2).

    Steps that are left out are merged into one (Nichol & Dhariwal, 2021, sec. 4).

    Attributes:
        large_variance: Noise of variance beta, the upper bound, in place of the posterior's.
    """

    large_variance: bool = False

    def step(
        self,
        x_t: Tensor,
        now: Estimate,
        before: Estimate | None,
        move: Move,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """A draw from p(x_s | x_t); the mean itself where s is 0."""
        mean = posterior_mean(x_t, now.x_0, move.abar_t, move.abar_s)
        if move.abar_s == 1:
            return mean
        beta = 1 - move.abar_t / move.abar_s
        small = posterior_variance(move.abar_t, move.abar_s)
        return mean + sqrt(beta if self.large_variance else small) * draw()


@dataclass(frozen=True)
class DDIM(Solver):
    """Implicit sampling (Song et al., 2021, eq. 12 and 16).

    Attributes:
        eta: Share of fresh noise: 0 is deterministic, 1 is ancestral.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        """Refuse noise beyond the ancestral."""
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {self.eta}")

    def step(
        self,
        x_t: Tensor,
        now: Estimate,
        before: Estimate | None,
        move: Move,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """The same estimate at less noise, part of which is fresh."""
        variance = self.eta**2 * posterior_variance(move.abar_t, move.abar_s)
        kept = sqrt(max(1 - move.abar_s - variance, 0.0))
        x_s = sqrt(move.abar_s) * now.x_0 + kept * now.eps
        return x_s + sqrt(variance) * draw() if variance > 0 else x_s


@dataclass(frozen=True)
class DPMSolver(Solver):
    """DPM-Solver++(2M), the multistep solver of second order (Lu et al., 2022, alg. 2).

    The first step, and one that arrives at x_0, where log-SNR is infinite, are of first order.

    Attributes:
        lower_order_final: Whether the last of fewer than `SHORT` steps is of first order as well,
            wherever it arrives.
    """

    lower_order_final: bool = True

    def step(
        self,
        x_t: Tensor,
        now: Estimate,
        before: Estimate | None,
        move: Move,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """First-order step with the estimate drawn on along the last one's change."""
        x_0 = now.x_0
        if before is not None and not self._is_first_order(move):
            x_0 = x_0 + (x_0 - before.x_0) / (2 * step_ratio(move))
        return first_order_step(x_t, x_0, move.abar_t, move.abar_s)

    def _is_first_order(self, move: Move) -> bool:
        is_short_end = move.num_left == 1 and move.num_steps < SHORT
        return move.abar_s == 1 or (self.lower_order_final and is_short_end)


def posterior_mean(x_t: Tensor, x_0: Tensor, abar_t: float, abar_s: float) -> Tensor:
    """Mean of q(x_s | x_t, x_0) (Ho et al., 2020, eq. 7)."""
    alpha = abar_t / abar_s
    clean = sqrt(abar_s) * (1 - alpha) / (1 - abar_t)
    noisy = sqrt(alpha) * (1 - abar_s) / (1 - abar_t)
    return clean * x_0 + noisy * x_t


def posterior_variance(abar_t: float, abar_s: float) -> float:
    """Variance of q(x_s | x_t, x_0) (Ho et al., 2020, eq. 7)."""
    return (1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)


def first_order_step(x_t: Tensor, x_0: Tensor, abar_t: float, abar_s: float) -> Tensor:
    """Where x_0 leads: (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) x_0 (Lu et al., 2022, alg. 2).

    With e^-h = sigma_s alpha_t / (alpha_s sigma_t) put in, so that neither end may be infinite.
    """
    kept = sqrt((1 - abar_s) / (1 - abar_t))
    return kept * x_t + (sqrt(abar_s) - kept * sqrt(abar_t)) * x_0


def step_ratio(move: Move) -> float:
    """The last step's length in half log-SNR over this one's: their r (Lu et al., 2022, alg. 2)."""
    assert move.abar_before is not None
    now = half_log_snr(move.abar_t)
    return (now - half_log_snr(move.abar_before)) / (half_log_snr(move.abar_s) - now)


def half_log_snr(abar: float) -> float:
    """Log of alpha / sigma, their lambda (Lu et al., 2022); minus infinity without signal."""
    return 0.5 * (log(abar) - log(1 - abar)) if abar > 0 else -inf
