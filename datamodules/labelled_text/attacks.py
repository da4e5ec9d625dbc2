"""Attacks on detectors: edits that keep a text readable and may hide its author; no model needed.

Each edit is deterministic for a text. All except truncation apply to machine texts only, as an
attacker would; truncation applies to human texts too, or their length would give them away.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import ClassVar

LOOKALIKES = dict(
    zip("aceopxyiABCEHKMOPTX", "асеорхуіАВСЕНКМОРТХ", strict=True)  # noqa: RUF001
)
"""Latin letters and their Cyrillic homoglyphs."""
SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
"""Separator of two sentences."""


@dataclass(frozen=True)
class Attack(ABC):
    """A change to a text.

    Attributes:
        seed: Seed of the random edits.
    """

    seed: int = 0
    humans_too: ClassVar[bool] = False
    """Whether human texts are changed too."""

    @property
    def name(self) -> str:
        """A short name for tables."""
        return type(self).__name__.lower()

    def __call__(self, text: str) -> str:
        """The changed text."""
        return self.change(text, Random(f"{self.seed}/{text}"))

    @abstractmethod
    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""


@dataclass(frozen=True)
class Shares(Attack):
    """An edit at some positions of a text.

    Attributes:
        share: Share of the positions that are changed.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share outside (0, 1]."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be within (0, 1], got {self.share}.")

    @property
    def name(self) -> str:
        """A short name for tables; it contains the share if that is not the default."""
        is_usual = self.share == type(self).share
        return super().name if is_usual else f"{super().name}_{self.share:g}"


@dataclass(frozen=True)
class Whitespace(Shares):
    """A second space after some of the spaces."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""
        return re.sub(" ", lambda _: "  " if rng.random() < self.share else " ", text)


@dataclass(frozen=True)
class Homoglyph(Shares):
    """Some Latin letters replaced by Cyrillic homoglyphs."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""
        return "".join(
            LOOKALIKES[c] if c in LOOKALIKES and rng.random() < self.share else c for c in text
        )


@dataclass(frozen=True)
class Case(Shares):
    """The case of the first letter of some words flipped."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""

        def other(found: re.Match[str]) -> str:
            return found[0].swapcase() if rng.random() < self.share else found[0]

        return re.sub(r"\b[^\W\d_]", other, text)


@dataclass(frozen=True)
class SentenceShuffle(Attack):
    """The sentences in random order."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""
        ends = [0, *(found.end() for found in SENTENCE.finditer(text)), len(text)]
        sentences = [text[a:b].strip() for a, b in pairwise(ends)]
        kept = [sentence for sentence in sentences if sentence]
        rng.shuffle(kept)
        return " ".join(kept)


@dataclass(frozen=True)
class Truncation(Attack):
    """The first words only.

    Attributes:
        words: Number of words.
    """

    words: int = 50
    humans_too: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse to remove every word."""
        if self.words < 1:
            raise ValueError(f"words must be at least 1, got {self.words}.")

    @property
    def name(self) -> str:
        """A short name for tables."""
        return f"first_{self.words}_words"

    def change(self, text: str, rng: Random) -> str:
        """The changed text."""
        found = re.match(rf"\s*(?:\S+\s+){{0,{self.words - 1}}}\S+", text)
        return text if found is None else found[0]
