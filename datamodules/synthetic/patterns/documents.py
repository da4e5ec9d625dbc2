"""Documents by index: all have the same length, and the same number of words of every sort.

A unit is `word class label mark`, and a document is eight units, by default, of one topic:

- `ordinary`: a chain of words, each of which may be followed by two; half of the labels are those
  of the classes, half those of the words. All of it can be known beforehand.
- `mapping`: three classes, each with a label that is drawn for this document.
- `recall`: four words, each with a label that is drawn for this document, round by round in other
  orders.
- `copy`: four units with any labels, again and again.
- `shuffled`: a mapping whose labels have changed places, so that nothing follows from it.
- `easy`: the chain in its one fixed form, with the labels of its words, from any word on: it is
  known by heart.
- `hard`: words of all topics, classes, labels and marks, as many as elsewhere, in any order.
"""

from collections.abc import Callable
from random import Random

from datamodules.synthetic.patterns.units import ROUND, Kind, PatternUnit, structure
from datamodules.synthetic.patterns.words import (
    CLASS_LABEL,
    CLASS_OF,
    CLASSES,
    LABELS,
    MARKS,
    NEXT,
    TOPIC_OF,
    TOPICS,
    WORD_LABEL,
    WORDS,
    Part,
)

GRAMMAR = 2
"""Version of words and documents; raised when a text changes, so that cached tokens are rebuilt."""


def document(seed: int, index: int, kind: Kind, topics: Part = "seen", num_units: int = 8) -> str:
    """One document, always the same for the same arguments.

    Args:
        seed: Which series.
        index: Which document of the series.
        kind: What it is like.
        topics: Topics that it may be about.
        num_units: Units of four words, a multiple of four.
    """
    rng = Random(f"patterns/{kind}/{topics}/{num_units}/{seed}/{index}")
    if kind == "hard":
        return hard(rng, topics, num_units)
    while True:  # by chance, labels may be those of another kind
        units = MAKERS[kind](rng, rng.choice(TOPICS[topics]), num_units)
        if structure(units) == kind:
            return " ".join(map(str, units))


def ordinary(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """A chain with the labels of classes and of words."""
    of_class = rng.sample([True, False] * (num // 2), num)
    word, units = rng.choice(WORDS[topic]), []
    for is_class in of_class:
        label = CLASS_LABEL[topic][CLASS_OF[word]] if is_class else WORD_LABEL[word]
        units.append(PatternUnit(word, label))
        word = rng.choice(NEXT[word])
    return units


def mapping(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """Three classes, equally often but for one, with labels of this document."""
    label_of = dict(zip(rng.sample(CLASSES, 3), rng.sample(LABELS, 3), strict=True))
    classes = [*label_of] * (num // 3) + [*label_of][: num % 3]
    rng.shuffle(classes)
    return [PatternUnit(word_of(rng, topic, one), label_of[one]) for one in classes]


def recall(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """Four words with labels of this document, in any order in each round."""
    words, labels = rng.sample(WORDS[topic], ROUND), rng.sample(LABELS, ROUND)
    keys = [PatternUnit(word, label) for word, label in zip(words, labels, strict=True)]
    return [unit for _ in range(num // ROUND) for unit in rng.sample(keys, ROUND)]


def copy(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """Four units, again and again."""
    words, labels = rng.choices(WORDS[topic], k=ROUND), rng.choices(LABELS, k=ROUND)
    pattern = [PatternUnit(word, label) for word, label in zip(words, labels, strict=True)]
    return pattern * (num // ROUND)


def shuffled(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """A mapping with labels that have changed places."""
    units = mapping(rng, topic, num)
    labels = rng.sample([unit.label for unit in units], num)
    return [PatternUnit(unit.word, label) for unit, label in zip(units, labels, strict=True)]


def easy(rng: Random, topic: str, num: int) -> list[PatternUnit]:
    """The chain in its fixed form, from any word on."""
    word, units = rng.choice(WORDS[topic]), []
    for _ in range(num):
        units.append(PatternUnit(word, WORD_LABEL[word]))
        word = NEXT[word][0]
    return units


def hard(rng: Random, topics: Part, num: int) -> str:
    """The words of as many units in any order."""
    known = [word for word, topic in TOPIC_OF.items() if topic in TOPICS[topics]]
    sorts = (known, CLASSES, LABELS, [*MARKS.values()])
    words = [word for sort in sorts for word in rng.choices(sort, k=num)]
    return " ".join(rng.sample(words, len(words)))


def word_of(rng: Random, topic: str, of_class: str) -> str:
    """A word of a class."""
    return rng.choice([word for word in WORDS[topic] if CLASS_OF[word] == of_class])


MAKERS: dict[Kind, Callable[[Random, str, int], list[PatternUnit]]] = {
    "ordinary": ordinary,
    "mapping": mapping,
    "recall": recall,
    "copy": copy,
    "shuffled": shuffled,
    "easy": easy,
}
"""What makes the units of each kind; they have to be drawn again where a structure is missing."""
