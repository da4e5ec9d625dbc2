"""Articles with summaries, by index: an event, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from datamodules.synthetic.newsroom.events import (
    WHOLE,
    Event,
    Part,
    Span,
    draw_event,
    pick,
    seen_stances,
    within,
)
from datamodules.synthetic.newsroom.sentences import (
    AMOUNTS,
    COMMENTS,
    DETAILS,
    DISTRACTORS,
    LEADS,
    PLANS,
    SKELETONS,
)
from datamodules.synthetic.newsroom.words import ACTIONS, BODIES, SLOTS, STANCES, VALUES

GRAMMAR = 1
"""Version of words and sentences; raised when a text changes, so that cached tokens are rebuilt."""


@dataclass(frozen=True)
class Style:
    """What articles and summaries are like.

    Attributes:
        kept: Probability that a summary keeps the stance of its article; otherwise it is told in
            another one, with each of those that are seen with the topic equally often.
        is_long: Whether an article has six sentences about its event and four to eight others; a
            short one has three, and up to three others.
        lexicon: The span of the verbs, the parties and the values of each stance that are used.
    """

    kept: float = 0.5
    is_long: bool = False
    lexicon: Span = WHOLE


@dataclass(frozen=True)
class News:
    """An article, its summary, and the truth about both.

    Attributes:
        event: The facts.
        stance: Stance of the article.
        text: The article, on one line.
        summary: One or two sentences with three to five of the facts.
        summary_stance: Stance of the summary.
    """

    event: Event
    stance: str
    text: str
    summary: str
    summary_stance: str


def news(seed: int, index: int, part: Part = "seen", style: Style = Style()) -> News:
    """One article and its summary, always the same for the same arguments.

    Args:
        seed: Which series.
        index: Which article of the series.
        part: Which events and stances may occur.
        style: What articles and summaries are like.

    Raises:
        ValueError: An unknown part.
    """
    rng = Random(f"news/{part}/{seed}/{index}")
    event, stance = draw_event(rng, part, style.lexicon)
    told = summary_stance(rng, event, stance, style.kept)
    text = " ".join(article(rng, event, stance, style))
    summary = filled(rng, pick(rng, SKELETONS), event, told, style)
    return News(event, stance, text, summary, told)


def summary_stance(rng: Random, event: Event, stance: str, kept: float) -> str:
    """The stance of a summary: that of the article, or another."""
    others = [one for one in seen_stances(event.topic) if one != stance]
    return stance if rng.random() < kept else pick(rng, others)


def article(rng: Random, event: Event, stance: str, style: Style) -> list[str]:
    """The sentences of an article: that of who did what precedes all others about the event."""
    first, *others = long_plan(rng) if style.is_long else short_plan(rng)
    rng.shuffle(others)
    true = [filled(rng, one, event, stance, style) for one in (first, *others)]
    num = rng.randint(4, 8) if style.is_long else rng.randint(0, 3)
    return merged(rng, true, [distractor(rng, event) for _ in range(num)])


def short_plan(rng: Random) -> list[str]:
    """Three sentences that give all facts."""
    lead, amount = pick(rng, PLANS)
    return [pick(rng, LEADS[lead]), pick(rng, AMOUNTS[amount]), pick(rng, COMMENTS)]


def long_plan(rng: Random) -> list[str]:
    """Six sentences that give all facts, one each."""
    details = [pick(rng, detail) for detail in DETAILS]
    comments = rng.sample(COMMENTS, 2)
    return [pick(rng, LEADS[""]), pick(rng, AMOUNTS[""]), *details, *comments]


def merged(rng: Random, first: Sequence[str], other: Sequence[str]) -> list[str]:
    """Two lists as one, by chance; both keep their order."""
    is_first = [True] * len(first) + [False] * len(other)
    rng.shuffle(is_first)
    one, two = iter(first), iter(other)
    return [next(one if which else two) for which in is_first]


def filled(rng: Random, sentence: str, event: Event, stance: str, style: Style) -> str:
    """A sentence about an event, in the words of a stance."""
    side = STANCES.index(stance)
    return sentence.format(
        **vars(event),
        verb=ACTIONS[event.action][side],
        body=pick(rng, within(BODIES[side], style.lexicon)),
        value=pick(rng, within(VALUES[side], style.lexicon)),
    )


def distractor(rng: Random, event: Event) -> str:
    """A sentence that names other people, towns, days and amounts than those of an event."""
    facts = {slot: getattr(event, slot) for slot in ("who", "topic", "where", "when", "amount")}
    others = {slot: pick_other(rng, SLOTS[slot], word) for slot, word in facts.items()}
    return pick(rng, DISTRACTORS).format(**others)


def pick_other(rng: Random, words: Sequence[str], than: str) -> str:
    """One of several, but not a certain one."""
    while (word := pick(rng, words)) == than:
        pass
    return word
