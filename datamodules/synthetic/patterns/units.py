"""Units of four words, and the structure that a series of them has."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from datamodules.synthetic.patterns.words import (
    CLASS_LABEL,
    CLASS_OF,
    MARKS,
    NEXT,
    TOPIC_OF,
    WORD_LABEL,
)

Kind = Literal["ordinary", "mapping", "recall", "copy", "shuffled", "easy", "hard"]
"""What a document is like; `documents` describes each."""
PLANTED: tuple[Kind, ...] = ("mapping", "recall", "copy")
"""Kinds whose labels follow from the beginning of the document only."""
DECOYS: tuple[Kind, ...] = ("shuffled", "easy", "hard")
"""Kinds that a score may take for planted ones: equal words, a low loss, a high loss."""
ROUND = 4
"""Units after which recalled keys and copied patterns come again."""


@dataclass(frozen=True)
class PatternUnit:
    """A word and what is said about it.

    Attributes:
        word: One of `words.WORDS`.
        label: One of `words.LABELS`.
    """

    word: str
    label: str

    @property
    def topic(self) -> str:
        """The topic of the word."""
        return TOPIC_OF[self.word]

    @property
    def of_class(self) -> str:
        """The class of the word."""
        return CLASS_OF[self.word]

    @property
    def question(self) -> str:
        """What precedes the label."""
        return f"{self.word} {self.of_class}"

    def __str__(self) -> str:
        """The text: word, class, label, and the mark of the class."""
        return f"{self.question} {self.label} {MARKS[self.of_class]}"


def structure(units: Sequence[PatternUnit]) -> Kind | None:
    """The kind of document that the units make up; None if they are of no known kind."""
    if len({unit.topic for unit in units}) > 1:
        return None
    labels, classes = {unit.label for unit in units}, {unit.of_class for unit in units}
    if is_function((unit.of_class, unit.label) for unit in units):
        return "mapping" if len(classes) == len(labels) == 3 else None
    if is_function((unit.word, unit.label) for unit in units) and has_rounds(units):
        return "recall"
    if units == [*units[:ROUND]] * (len(units) // ROUND):
        return "copy"
    if all(after.word in NEXT[before.word] for before, after in pairwise(units)):
        return chain_kind(units)
    is_known = is_function((unit.word, unit.label) for unit in units)
    return "shuffled" if len(classes) == len(labels) == 3 and not is_known else None


def is_function(pairs: Iterable[tuple[Hashable, Hashable]]) -> bool:
    """Whether equal first parts always have equal second parts."""
    distinct = set(pairs)
    return len({first for first, _ in distinct}) == len(distinct)


def has_rounds(units: Sequence[PatternUnit]) -> bool:
    """Whether each round has the same four words, and not all rounds have the same order."""
    rounds = [[*units[i : i + ROUND]] for i in range(0, len(units), ROUND)]
    keys = [{unit.word for unit in one} for one in rounds]
    is_same = all(len(one) == ROUND and one == keys[0] for one in keys)
    return is_same and any(one != rounds[0] for one in rounds)


def chain_kind(units: Sequence[PatternUnit]) -> Kind | None:
    """Of a chain: ordinary, easy or neither."""
    facts = Counter(fact(unit) for unit in units)
    if facts == {"class": len(units) // 2, "word": len(units) // 2}:
        return "ordinary"
    is_fixed = all(after.word == NEXT[before.word][0] for before, after in pairwise(units))
    return "easy" if facts == {"word": len(units)} and is_fixed else None


def fact(unit: PatternUnit) -> str:
    """What the label is that of: the `class`, the `word` or `nothing`."""
    if unit.label == CLASS_LABEL[unit.topic][unit.of_class]:
        return "class"
    return "word" if unit.label == WORD_LABEL[unit.word] else "nothing"
