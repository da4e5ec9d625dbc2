"""Changes to a text that leave it readable and may hide who wrote it; none needs another model.

Each is the same for the same text. All but truncation are done to machine texts only, as whoever
hides a machine would; truncation is done to human texts as well, or length would tell.
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
"""Latin letters and Cyrillic ones of the same look."""
SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
"""What stands between two sentences."""


@dataclass(frozen=True)
class Attack(ABC):
    """A change to a text.

    Attributes:
        seed: Of what is changed by chance.
    """

    seed: int = 0
    humans_too: ClassVar[bool] = False
    """Whether human texts are changed as well."""

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
    """A change to some places of a text.

    Attributes:
        share: Share of the places that are changed.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be within (0, 1], got {self.share}.")

    @property
    def name(self) -> str:
        """A short name for tables; the share is in it where it is not the usual one."""
        is_usual = self.share == type(self).share
        return super().name if is_usual else f"{super().name}_{self.share:g}"


@dataclass(frozen=True)
class Whitespace(Shares):
    """A second space behind some of the spaces."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""
        return re.sub(" ", lambda _: "  " if rng.random() < self.share else " ", text)


@dataclass(frozen=True)
class Homoglyph(Shares):
    """Some Latin letters as Cyrillic ones of the same look."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""
        return "".join(
            LOOKALIKES[c] if c in LOOKALIKES and rng.random() < self.share else c for c in text
        )


@dataclass(frozen=True)
class Case(Shares):
    """The first letter of some words in the other case."""

    def change(self, text: str, rng: Random) -> str:
        """The changed text, by chance."""

        def other(found: re.Match[str]) -> str:
            return found[0].swapcase() if rng.random() < self.share else found[0]

        return re.sub(r"\b[^\W\d_]", other, text)


@dataclass(frozen=True)
class SentenceShuffle(Attack):
    """The sentences in another order."""

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
        words: How many.
    """

    words: int = 50
    humans_too: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse to leave nothing."""
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
