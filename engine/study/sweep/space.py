"""The space of a sweep: which values each key of a config may take, and under which conditions.

    model.init_args.optimizer.init_args.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
    data.init_args.batch_size: {choices: [8, 16]}
    trainer.gradient_clip_val: {low: 0.5, high: 2.0, when: {data.init_args.batch_size: 8}}

A key whose values depend on another's has a list of such entries, each with its `when`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import floor, isfinite
from typing import TYPE_CHECKING, Any

from engine.config.suggestions import nearest

if TYPE_CHECKING:
    from optuna import Trial

RANGE = ("low", "high", "step", "log", "when")
"""What a range may say."""
CHOICE = ("choices", "when")
"""What a list of choices may say."""
SCALARS = (bool, int, float, str, type(None))
"""What Optuna keeps as it is; other choices are kept as JSON."""
Values = dict[str, Any]
"""A value of each key that exists."""


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


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind; True is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


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


def read_space(given: Mapping[str, Any]) -> Space:
    """The space that a config describes.

    Raises:
        ValueError: Names the key, and what is wrong with it.
    """
    if not given:
        raise ValueError("space is empty: name at least one key, with low and high or choices")
    dimensions = [one for key, value in given.items() for one in read_key(key, value)]
    for one in dimensions:
        check_condition(one, dimensions)
    return Space(in_order(dimensions))


def read_key(key: str, value: Any) -> list[Dimension]:
    """The dimensions of a key: one, or one a condition."""
    if not isinstance(value, list):
        return [read_dimension(key, key, value)]
    if not value:
        raise ValueError(f"space: {key}: the list of its ranges is empty")
    if any(not (isinstance(one, dict) and one.get("when")) for one in value):
        raise ValueError(f"space: {key}: each of several ranges needs a condition: when")
    return [read_dimension(key, f"{key} [{number}]", one) for number, one in enumerate(value)]


def read_dimension(key: str, name: str, given: Any) -> Dimension:
    """One dimension of a key."""
    where = f"space: {key}"
    if not isinstance(given, dict):
        raise ValueError(f"{where}: expected low and high, or choices, got {given!r}")
    known = CHOICE if "choices" in given else RANGE
    for word in given:
        if word not in known:
            raise ValueError(f"{where}: there is no {word}{nearest(str(word), known)}; {known}")
    when = given.get("when") or {}
    if not isinstance(when, dict):
        raise ValueError(f"{where}: when needs a table of keys and values, got {when!r}")
    listed = {str(k): v if isinstance(v, list) else [v] for k, v in when.items()}
    values = read_choices(where, given) if "choices" in given else read_range(where, given)
    return Dimension(key, name, values, listed)


def read_choices(where: str, given: dict[str, Any]) -> Categories:
    """A list of choices."""
    choices = given["choices"]
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"{where}: choices must be a list of at least one value, got {choices!r}")
    texts = [json.dumps(one) for one in choices]
    if len(set(texts)) < len(texts):
        raise ValueError(f"{where}: choices name a value twice: {choices}")
    return Categories(choices)


def read_range(where: str, given: dict[str, Any]) -> NumberRange:
    """A range of numbers."""
    ends = {name: number(where, name, given.get(name)) for name in ("low", "high")}
    low, high, log = ends["low"], ends["high"], given.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"{where}: log must be true or false, got {log!r}")
    if low > high:
        raise ValueError(f"{where}: the range is reversed: low {low} is above high {high}")
    if low == high:
        raise ValueError(f"{where}: the range is empty: low and high are {low}; set it by options")
    step = None if given.get("step") is None else number(where, "step", given["step"])
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"{where}: step {step} must be above 0, and at most high - low")
    if log and low <= 0:
        raise ValueError(f"{where}: a log range cannot begin at {low}; low must be above 0")
    if log and step is not None:
        raise ValueError(f"{where}: log and step exclude one another")
    return NumberRange(low, high, step, log)


def number(where: str, name: str, given: Any) -> float:
    """A finite number; YAML reads 1e-4 as text, which is taken for what it is meant to be."""
    if isinstance(given, str):
        try:
            given = float(given)
        except ValueError:
            pass
    if isinstance(given, bool) or not isinstance(given, int | float) or not isfinite(given):
        raise ValueError(f"{where}: {name} must be a number, got {given!r}")
    return given


def check_condition(one: Dimension, dimensions: list[Dimension]) -> None:
    """Refuse a condition that can never hold.

    Raises:
        ValueError: It names no key of the space, or a value that the key never has.
    """
    keys = [other.key for other in dimensions]
    for key, wanted in one.when.items():
        if key not in keys:
            hint = nearest(key, keys)
            raise ValueError(f"space: {one.key}: when: {key} is no key of the space{hint}")
        for value in wanted:
            if not any(d.values.holds(value) for d in dimensions if d.key == key):
                raise ValueError(f"space: {one.key}: when: {key} is never {value!r}")


def in_order(dimensions: list[Dimension]) -> list[Dimension]:
    """Dimensions, each after all of the keys that it depends on.

    Raises:
        ValueError: Conditions depend on one another in a circle.
    """
    rest, ordered = list(dimensions), list[Dimension]()
    while rest:
        waiting = {one.key for one in rest}
        ready = [one for one in rest if not waiting & set(one.when)]
        if not ready:
            circle = ", ".join(sorted(waiting))
            raise ValueError(f"space: conditions depend on one another in a circle: {circle}")
        ordered += ready
        rest = [one for one in rest if one not in ready]
    return ordered
