"""The meaning of labels in a table: `yes` is a boolean in YAML and a word in CSV."""

from collections.abc import Mapping
from math import isnan
from typing import Any

OTHERS = "*"
"""Matches every label that is not named."""
TRUE = ("yes", "true", "on", "y", "t")
FALSE = ("no", "false", "off", "n", "f")


class Labels:
    """Maps the labels of a table to classes.

    A label is first looked up verbatim, then normalised: case, white space, `1.0` for
    `1` and the words for true and false make no difference.

    Args:
        meaning: Class by label, such as `{"1": human, "*": machine}`; None takes labels as they
            are.
    """

    def __init__(self, meaning: Mapping[Any, str] | None):
        self.meaning = None if meaning is None else {str(k): str(v) for k, v in meaning.items()}
        self.by_sense: dict[str, set[str]] = {}
        for label, name in (meaning or {}).items():
            self.by_sense.setdefault(sense(label), set()).add(str(name))

    def __call__(self, label: object, origin: str) -> str:
        """The class of a label.

        Args:
            label: The label in the table.
            origin: Origin of the row, for the message.

        Raises:
            ValueError: It maps to no class, or to two; the message names it and the known labels.
        """
        if self.meaning is None:
            return str(label).strip()
        if str(label) in self.meaning:
            return self.meaning[str(label)]
        found = self.by_sense.get(sense(label), set())
        if len(found) == 1:
            return next(iter(found))
        if OTHERS in self.meaning:
            return self.meaning[OTHERS]
        known = ", ".join(map(spelt, self.meaning))
        raise ValueError(f"{origin}: label {label!r} is none of {known}; see `labels`.")


def spelt(label: str) -> str:
    """A label for messages; YAML turns `yes` into `True`, so a boolean is shown in all its words.

    The spelling of the config is lost by then; the words show which labels a file may contain.
    """
    words = {"True": TRUE, "False": FALSE}.get(label)
    return label if words is None else "/".join(words)


def is_missing(label: object) -> bool:
    """Whether a row has no label; tables may write NaN for it."""
    if isinstance(label, float):
        return isnan(label)
    return label is None or (isinstance(label, str) and not label.strip())


def sense(label: object) -> str:
    """Canonical spelling of a label."""
    word = str(label).strip().casefold()
    if word in TRUE or word in FALSE:
        return "true" if word in TRUE else "false"
    try:
        number = float(word)
    except ValueError:
        return word
    return str(int(number)) if number.is_integer() else repr(number)
