"""Dimensions of a space, and combinations of their values, conditions included."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.study.sweep.space.values import Categories, NumberRange

if TYPE_CHECKING:
    from optuna import Trial

Values = dict[str, Any]
"""A value of each key that exists."""


@dataclass(frozen=True)
class Dimension:
    """The values of a key, under a condition.

    Attributes:
        key: Dotted, as on the command line.
        name: What Optuna calls it: the key, and which of its conditions where it has several.
        values: Those it may take.
        when: Values that other keys must have, so that this one exists.
    """

    key: str
    name: str
    values: NumberRange | Categories
    when: dict[str, list[Any]] = field(default_factory=dict)

    def exists(self, chosen: Mapping[str, Any]) -> bool:
        """Whether the keys chosen so far call for this one."""
        return all(key in chosen and chosen[key] in wanted for key, wanted in self.when.items())


@dataclass(frozen=True)
class Space:
    """All dimensions, each after those that it depends on."""

    dimensions: list[Dimension]

    @property
    def keys(self) -> list[str]:
        """Every key, once."""
        return list(dict.fromkeys(one.key for one in self.dimensions))

    def suggest(self, trial: "Trial") -> Values:
        """Have the sampler draw a value of each key that exists."""
        chosen: Values = {}
        for one in self.dimensions:
            if one.exists(chosen):
                refuse_second(one, chosen)
                chosen[one.key] = one.values.suggest(trial, one.name)
        return chosen

    def points(self) -> list[Values]:
        """Every combination, by the names and in the values that Optuna keeps.

        Raises:
            ValueError: A range has no step.
        """
        return [kept for _, kept in self._points({}, {}, self.dimensions)]

    def _points(
        self, chosen: Values, kept: Values, rest: list[Dimension]
    ) -> Iterator[tuple[Values, Values]]:
        if not rest:
            yield chosen, kept
            return
        first, *others = rest
        if not first.exists(chosen):
            yield from self._points(chosen, kept, others)
            return
        for value in first.values.all(first.key):
            inner = kept | {first.name: first.values.kept(value)}
            yield from self._points(chosen | {first.key: value}, inner, others)

    def examples(self) -> list[Values]:
        """A few combinations in which every dimension exists at least once."""
        found: list[Values] = []
        for one in reversed(self.dimensions):
            if not any(one.exists(chosen) and holds(one, chosen) for chosen in found):
                found.append(self.example(one))
        return found

    def example(self, wanted: Dimension) -> Values:
        """A combination in which a dimension exists."""
        needed = self.needed(wanted)
        chosen: Values = {}
        for one in self.dimensions:
            if one.exists(chosen) and one.key not in chosen:
                chosen[one.key] = needed.get(one.key, one.values.example)
        return chosen

    def needed(self, wanted: Dimension) -> Values:
        """Values of other keys that a dimension depends on, over one or more of them."""
        values = {key: options[0] for key, options in wanted.when.items()}
        for key in list(values):
            above = [d for d in self.dimensions if d.key == key and d.values.holds(values[key])]
            values |= self.needed(above[0]) if above else {}
        return values


def holds(one: Dimension, chosen: Values) -> bool:
    """Whether a combination has a value of a dimension."""
    return one.key in chosen and one.values.holds(chosen[one.key])


def refuse_second(one: Dimension, chosen: Values) -> None:
    """Refuse a key that exists twice at a time.

    Raises:
        ValueError: Two of its conditions hold.
    """
    if one.key in chosen:
        raise ValueError(f"space: {one.key}: two of its conditions hold at once: {chosen}")
