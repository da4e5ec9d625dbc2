"""Checks of arguments that all datamodules share."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from datamodules.records.source import Source


class Identified(Protocol):
    """What has an id and an origin, such as a question or an article."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def origin(self) -> str:
        """Its file and row."""


def check_bounds(values: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Raise a ValueError if a value is below its minimum; the message names both."""
    for name, bound in least.items():
        if values[name] < bound:
            raise ValueError(f"{name} must be at least {bound}, got {values[name]}.")


def check_shares(values: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise a ValueError if a value is outside [0, 1]."""
    for name in names:
        if not 0.0 <= values[name] <= 1.0:
            raise ValueError(f"{name} must be within [0, 1], got {values[name]}.")


def check_choice(name: str, value: object, known: Iterable[object]) -> None:
    """Raise a ValueError for an unknown value; Python does not check a Literal."""
    if value not in (choices := list(known)):
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}.")


def check_ids(found: Iterable[Identified], kind: str, results: str) -> None:
    """Raise a ValueError if two of them have the same id; the message gives both origins.

    Args:
        found: What is checked.
        kind: What they are, in the plural, for the message.
        results: What is written for each, in the plural, for the message.
    """
    origins: dict[str, str] = {}
    for one in found:
        if one.id in origins:
            raise ValueError(
                f"two {kind} have the id {one.id!r} ({origins[one.id]} and {one.origin}): none "
                f"could tell their {results} apart."
            )
        origins[one.id] = one.origin


def check_sources(train: Sequence[Source], kind: str) -> None:
    """Raise a ValueError if there is no training source, or one without a finite weight.

    Args:
        train: The sources.
        kind: Kind of their samples, for the message.
    """
    if not train:
        raise ValueError(f"train is empty: give it at least one source of {kind}.")
    for source in train:
        if not 0 < source.weight < math.inf:
            raise ValueError(
                f"the weight of {source.name} must be above 0 and finite, got {source.weight}."
            )
