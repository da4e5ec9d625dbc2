"""Timings of two or more things side by side, on a machine whose speed wanders.

Every round measures each thing once, so what slows the machine for seconds slows them all; only
ratios and differences within a round are read. One thing, the control, is measured twice in each
round: where it does not equal itself, nothing else that the run says may be believed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Measure = Callable[[], float]
"""Does a piece of work once and returns how long it took, in seconds."""

AGAIN = "again"
"""Name under which the control's second time of each round is kept."""

TOLERANCE = 0.02
"""How far the control may seem to differ from itself."""


@dataclass(frozen=True)
class MedianInterval:
    """A median and the 95 % interval that a bootstrap gives it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Median and interval: `1.031 [1.020, 1.044]`."""
        return f"{self.median:.4g} [{self.low:.4g}, {self.high:.4g}]"


def estimate(values: Sequence[float], num_resamples: int = 2000) -> MedianInterval:
    """Median of some values, with a bootstrap interval that is the same at every call."""
    value_N = np.asarray(values, dtype=np.float64)
    draw = np.random.default_rng(0).integers(len(value_N), size=(num_resamples, len(value_N)))
    low, high = np.quantile(np.median(value_N[draw], axis=1), [0.025, 0.975])
    return MedianInterval(float(np.median(value_N)), float(low), float(high))


@dataclass(frozen=True)
class Timings:
    """Seconds of each thing, round by round.

    Attributes:
        seconds: One list for each name, and the control's second one under `AGAIN`.
        control: The name that was measured twice.
        attempts: How often the rounds were run until the control equalled itself, or was given up.
    """

    seconds: dict[str, list[float]]
    control: str
    attempts: int = 1

    def ratio(self, a: str, b: str) -> MedianInterval:
        """How many times as long as `b` the thing `a` takes."""
        pairs = zip(self.seconds[a], self.seconds[b], strict=True)
        return estimate([one / other for one, other in pairs])

    def difference(self, a: str, b: str) -> MedianInterval:
        """By how many seconds `a` takes longer than `b`."""
        pairs = zip(self.seconds[a], self.seconds[b], strict=True)
        return estimate([one - other for one, other in pairs])

    def time(self, name: str) -> MedianInterval:
        """Seconds of one thing."""
        return estimate(self.seconds[name])

    @property
    def control_ratio(self) -> MedianInterval:
        """The control against itself; 1 on a machine that can be trusted."""
        return self.ratio(self.control, AGAIN)

    @property
    def is_void(self) -> bool:
        """Whether the control differs from itself by more than `TOLERANCE`."""
        return abs(self.control_ratio.median - 1) > TOLERANCE


def interleave(
    measures: Mapping[str, Measure],
    control: str,
    num_rounds: int = 15,
    num_discarded: int = 3,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Timings:
    """Measure everything in turn, round by round, each round beginning one place further on.

    Args:
        measures: What to measure, by name.
        control: Which of them is measured twice a round.
        num_rounds: Rounds that count.
        num_discarded: Rounds before them, which warm caches and clocks.
        tell: Hears after each round how many are done, of how many.
    """
    names = [*measures, AGAIN]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    total = num_discarded + num_rounds
    for number in range(total):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            took = measures[control if name == AGAIN else name]()
            if number >= num_discarded:
                seconds[name].append(took)
        tell(number + 1, total)
    return Timings(seconds, control)


def trusted(attempt: Callable[[], Timings], max_attempts: int = 3) -> Timings:
    """Time again until the control equals itself; the last attempt, void, where it never does."""
    for number in range(1, max_attempts + 1):  # noqa: B007 - the last one is returned
        timings = attempt()
        if not timings.is_void:
            break
    return Timings(timings.seconds, timings.control, number)
