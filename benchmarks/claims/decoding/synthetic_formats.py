"""Formats of answers, combined from parts; some combinations are held out of training."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random

OPENINGS = ("", "so: ", "ok: ", "= ", "say: ", "> ")
BRACKETS = ("", "()", "[]", "<>", "{}", '""')
SEPARATORS = (" ", ", ", "-", "/", "+", " & ")
CASES: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.capitalize,
}
ENDINGS = ("", ".", "!", " ;", "...")
HELD_OUT = 4
"""One of this many combinations is held out."""


@dataclass(frozen=True)
class Format:
    """The format of an answer.

    Attributes:
        opening: Text before the items.
        brackets: Around the items; none, or one on each side.
        separator: Between two items.
        case: Of letters: a key of `CASES`.
        is_backward: Whether the items are in reverse order.
        ending: Text after the items.
    """

    opening: str
    brackets: str
    separator: str
    case: str
    is_backward: bool
    ending: str

    def write(self, items: Sequence[str]) -> str:
        """An answer of these items, lower-case words or numbers."""
        left, right = self._sides
        text = self.separator.join(map(CASES[self.case], self._ordered(items)))
        return f"{self.opening}{left}{text}{right}{self.ending}"

    def read(self, text: str) -> list[str] | None:
        """The items of an answer; None if it is not in this format."""
        left, right = self._sides
        before, after = self.opening + left, right + self.ending
        inside = text.removeprefix(before).removesuffix(after)
        items = self._ordered(inside.lower().split(self.separator))
        is_plain = all(re.fullmatch("[a-z0-9]+", item) for item in items)
        return items if is_plain and self.write(items) == text else None

    @property
    def _sides(self) -> tuple[str, str]:
        return self.brackets[:1], self.brackets[1:]

    def _ordered(self, items: Sequence[str]) -> list[str]:
        return list(items[::-1] if self.is_backward else items)


@cache
def formats(is_held_out: bool) -> tuple[Format, ...]:
    """All formats of training, or all that are held out; each part occurs in both."""
    parts = product(OPENINGS, BRACKETS, SEPARATORS, CASES, (False, True), ENDINGS)
    found = [Format(*values) for values in parts]
    Random(0).shuffle(found)
    num = len(found) // HELD_OUT
    return tuple(found[:num] if is_held_out else found[num:])
