"""Reads documents exactly: their kind, topic and units, from the text alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.synthetic.patterns.units import ROUND, Kind, PatternUnit, structure
from datamodules.synthetic.patterns.words import CLASSES, LABELS, MARKS, TOPIC_OF

SORT_OF = {
    **dict.fromkeys(TOPIC_OF, "word"),
    **dict.fromkeys(CLASSES, "class"),
    **dict.fromkeys(LABELS, "label"),
    **dict.fromkeys(MARKS.values(), "mark"),
}
"""The sort of each word."""


@dataclass(frozen=True)
class DocumentReading:
    """What a document is.

    Attributes:
        kind: Its kind.
        topic: Its topic; empty for a hard one, which has none.
        units: Its units; none for a hard one.
    """

    kind: Kind
    topic: str = ""
    units: tuple[PatternUnit, ...] = ()


def read(text: str) -> DocumentReading:
    """Read a document.

    Raises:
        ValueError: A word is unknown, the words of the four sorts are not equally many, or the
            document is of no known kind.
    """
    words = text.split()
    if unknown := [word for word in words if word not in SORT_OF]:
        raise ValueError(f"not a word of the documents: {unknown[0]!r}")
    counts = Counter(SORT_OF[word] for word in words)
    if len(counts) < 4 or len({*counts.values()}) > 1 or counts["word"] % ROUND:
        raise ValueError(f"words of the four sorts are equally many, a multiple of four: {text!r}")
    units = as_units(words)
    if units is None:
        return DocumentReading("hard")
    kind = structure(units)
    if kind is None:
        raise ValueError(f"a document of no known kind: {text!r}")
    return DocumentReading(kind, units[0].topic, tuple(units))


def as_units(words: Sequence[str]) -> list[PatternUnit] | None:
    """Words as units; None if they are in another order, or a class or a mark is not the word's."""
    quarters = [words[i : i + 4] for i in range(0, len(words), 4)]
    units = [PatternUnit(word, label) for word, _, label, _ in quarters if word in TOPIC_OF]
    return units if " ".join(map(str, units)) == " ".join(words) else None
