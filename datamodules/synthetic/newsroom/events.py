"""Events by chance, and which of them are held out.

Of the pairs of a person and a town, a fifth is held out: training shows every person and every
town, but never these together as those of an event. Of the pairs of a topic and a stance, a sixth
is: each second topic is never told in one of the stances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Literal, TypeVar, get_args

from datamodules.synthetic.newsroom.words import (
    ACTIONS,
    AMOUNTS,
    DAYS,
    NAMES,
    PLACES,
    STANCES,
    TOPICS,
)

T = TypeVar("T")
Part = Literal["seen", "held_out", "new_stance", "all"]
"""What training shows; events of a held-out person and town, told as topics are in training; seen
persons and towns, their topic told in a stance that is held out for it; or everything alike."""
Span = tuple[float, float]
"""From where to where in a list, in shares of its length."""
WHOLE: Span = (0.0, 1.0)
HELD_OUT = frozenset(
    (who, where)
    for (i, who), (j, where) in product(enumerate(NAMES), enumerate(PLACES))
    if (i + 2 * j) % 5 == 0
)
"""Pairs of a person and a town that training never shows as those of an event."""
NEW_STANCES = {topic: STANCES[i % len(STANCES)] for i, topic in enumerate(TOPICS[::2])}
"""The stance of each of these topics that training never shows."""


@dataclass(frozen=True)
class Event:
    """The facts of an article.

    Attributes:
        who: One of `words.NAMES`.
        action: One of `words.ACTIONS`.
        topic: One of `words.TOPICS`; what is done is an action and a topic.
        where: One of `words.PLACES`.
        when: One of `words.DAYS`.
        amount: One of `words.AMOUNTS`.
    """

    who: str
    action: str
    topic: str
    where: str
    when: str
    amount: str


def draw_event(rng: Random, part: Part = "seen", lexicon: Span = WHOLE) -> tuple[Event, str]:
    """An event, and the stance in which it is told.

    Args:
        rng: The only source of randomness.
        part: Which events and stances may occur.
        lexicon: The span of the actions that may occur.

    Raises:
        ValueError: An unknown part.
    """
    if part not in get_args(Part):
        raise ValueError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}.")
    who, where = draw_pair(rng, part)
    topic, stance = draw_topic(rng, part)
    action = pick(rng, within([*ACTIONS], lexicon))
    return Event(who, action, topic, where, pick(rng, DAYS), pick(rng, AMOUNTS)), stance


def draw_pair(rng: Random, part: Part) -> tuple[str, str]:
    """A person and a town."""
    while True:
        pair = pick(rng, NAMES), pick(rng, PLACES)
        if part == "all" or (pair in HELD_OUT) == (part == "held_out"):
            return pair


def draw_topic(rng: Random, part: Part) -> tuple[str, str]:
    """A topic and a stance."""
    if part == "new_stance":
        return pick(rng, [*NEW_STANCES.items()])
    topic = pick(rng, TOPICS)
    return topic, pick(rng, STANCES if part == "all" else seen_stances(topic))


def seen_stances(topic: str) -> list[str]:
    """The stances in which training tells of a topic."""
    return [stance for stance in STANCES if NEW_STANCES.get(topic) != stance]


def pick(rng: Random, options: Sequence[T]) -> T:
    """One of several."""
    return options[int(rng.random() * len(options))]


def within(words: Sequence[T], span: Span) -> Sequence[T]:
    """A part of a list."""
    start, end = (round(share * len(words)) for share in span)
    return words[start:end]
