"""What the labels of a table mean: `yes` is a truth value in YAML, a word in CSV."""

from collections.abc import Mapping
from math import isnan
from typing import Any

OTHERS = "*"
"""Stands for every label that is not named."""
TRUE = ("yes", "true", "on", "y", "t")
FALSE = ("no", "false", "off", "n", "f")


class Labels:
    """The class that each label stands for.

    A label is first looked for as it is written, then by what it says: case, white space, `1.0` for
    `1` and the many words for true and false make no difference.

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
            label: As it stands in the table.
            origin: Where it stands, for the message.

        Raises:
            ValueError: It has no meaning, or two; names it, and those that have.
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
    """A label for messages; YAML makes `True` of `yes`, so a truth value is told in all its words.

    What the config held is gone by then: only the words say which labels a file may hold.
    """
    words = {"True": TRUE, "False": FALSE}.get(label)
    return label if words is None else "/".join(words)


def is_missing(label: object) -> bool:
    """Whether a row has no label; tables write NaN for that as well."""
    if isinstance(label, float):
        return isnan(label)
    return label is None or (isinstance(label, str) and not label.strip())


def sense(label: object) -> str:
    """One spelling of all labels that say the same."""
    word = str(label).strip().casefold()
    if word in TRUE or word in FALSE:
        return "true" if word in TRUE else "false"
    try:
        number = float(word)
    except ValueError:
        return word
    return str(int(number)) if number.is_integer() else repr(number)
