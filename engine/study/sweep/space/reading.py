"""The space of a sweep: which values each key of a config may take, and under which conditions.

    model.init_args.optimizer.init_args.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
    data.init_args.batch_size: {choices: [8, 16]}
    trainer.gradient_clip_val: {low: 0.5, high: 2.0, when: {data.init_args.batch_size: 8}}

A key whose values depend on another's has a list of such entries, each with its `when`.
"""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from engine.config.suggestions import nearest
from engine.study.sweep.space.space import Dimension, Space
from engine.study.sweep.space.values import Categories, NumberRange

RANGE = ("low", "high", "step", "log", "when")
"""What a range may say."""
CHOICE = ("choices", "when")
"""What a list of choices may say."""


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
