"""What a key of a space may be: numbers of a range, or one of several values."""

import json
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Trial

SCALARS = (bool, int, float, str, type(None))
"""What Optuna keeps as it is; other choices are kept as JSON."""


@dataclass(frozen=True)
class NumberRange:
    """Numbers between two ends, both included; whole ones where both ends and the step are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether only integers count."""
        ends = (self.low, self.high, self.step or 1)
        return all(isinstance(one, int) for one in ends)

    @property
    def last(self) -> float:
        """The highest number that steps from the low end reach."""
        if not self.step:
            return self.high
        return self.low + floor((self.high - self.low) / self.step + 1e-9) * self.step

    def suggest(self, trial: "Trial", name: str) -> Any:
        """A number that the sampler draws."""
        if not self.is_whole:
            return trial.suggest_float(name, self.low, self.last, step=self.step, log=self.log)
        low, high = int(self.low), int(self.last)
        return trial.suggest_int(name, low, high, step=int(self.step or 1), log=self.log)

    def kept(self, value: Any) -> Any:
        """A value as Optuna keeps it."""
        return value

    def value(self, kept: Any) -> Any:
        """The value that Optuna keeps so."""
        return kept

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def all(self, name: str) -> list[Any]:
        """Every value, for a grid.

        Raises:
            ValueError: There is no end to them.
        """
        step = self.step or (1 if self.is_whole and not self.log else None)
        if step is None:
            raise ValueError(f"{name}: a grid needs choices, or a range with a step")
        num = floor((self.high - self.low) / step + 1e-9) + 1
        return [self.low + index * step for index in range(num)]

    @property
    def example(self) -> Any:
        """Any value."""
        return self.low


@dataclass(frozen=True)
class Categories:
    """Values of any kind, one of which is taken."""

    values: list[Any]

    def suggest(self, trial: "Trial", name: str) -> Any:
        """A value that the sampler draws."""
        return self.value(trial.suggest_categorical(name, [*map(self.kept, self.values)]))

    def kept(self, value: Any) -> Any:
        """A value as Optuna keeps it."""
        return value if isinstance(value, SCALARS) else json.dumps(value)

    def value(self, kept: Any) -> Any:
        """The value that Optuna keeps so."""
        return next(one for one in self.values if same(self.kept(one), kept))

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.values

    def all(self, name: str) -> list[Any]:
        """Every value, for a grid."""
        return self.values

    @property
    def example(self) -> Any:
        """Any value."""
        return self.values[0]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind; True is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
