"""Reads news exactly: the event and the stance of an article, and what a summary says of them.

A text is read by turning each word back into its slot; what is left must be a known sentence.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from datamodules.synthetic.newsroom.events import Event
from datamodules.synthetic.newsroom.sentences import (
    AMOUNTS,
    COMMENTS,
    DETAILS,
    DISTRACTORS,
    LEADS,
    SKELETONS,
)
from datamodules.synthetic.newsroom.words import ACTION_OF, SLOT_OF, STANCE_OF, STANCES

FACTS = {
    "who": ("who",),
    "what": ("verb", "topic"),
    "where": ("where",),
    "when": ("when",),
    "amount": ("amount",),
}
"""The slots of each fact."""
FEWEST = 3
"""Facts of a summary, at least; one that states fewer lacks the others."""
NONE, MIXED = "none", "mixed"
"""Stance of a text without any word that carries one, and of one without a majority."""
WORD = re.compile(r"\w+")
END = re.compile(r"(?<=\.) ")
"""Between two sentences."""
TRUE = {
    *(one for some in (LEADS, AMOUNTS) for sentences in some.values() for one in sentences),
    *(one for sentences in DETAILS for one in sentences),
}
"""Sentences that give facts of the event."""
OTHER = {*COMMENTS, *DISTRACTORS}
"""Sentences that give none."""


Claims = dict[str, list[str]]
"""The words of each slot, in order; of a verb its action."""


def parse(text: str) -> tuple[str, Claims]:
    """A text with the name of its slot for each word that has one, and those words.

    White space is made single.
    """
    found: Claims = {}

    def marked(match: re.Match[str]) -> str:
        word = match[0]
        if (slot := SLOT_OF.get(word)) is None:
            return word
        found.setdefault(slot, []).append(ACTION_OF.get(word, word))
        return f"{{{slot}}}"

    return WORD.sub(marked, " ".join(text.split())), found


def stance_counts(text: str) -> Counter[str]:
    """How many words of a text carry each stance."""
    return Counter(STANCE_OF[word] for word in WORD.findall(text) if word in STANCE_OF)


def stance_of(text: str) -> str:
    """The stance of more than half of the words that carry one; else `none` or `mixed`."""
    counts = stance_counts(text)
    if not counts:
        return NONE
    [(stance, num)] = counts.most_common(1)
    return stance if 2 * num > counts.total() else MIXED


def distance(stance: str, asked: str) -> int:
    """Units between two stances; a text without one, or of several, counts as center."""
    one, other = (STANCES.index(name if name in STANCES else "center") for name in (stance, asked))
    return abs(one - other)


def read_article(text: str) -> tuple[Event, str]:
    """The event of an article, and its stance.

    Raises:
        ValueError: A sentence is unknown, or a fact is missing or given twice.
    """
    found: Claims = {}
    for sentence in END.split(" ".join(text.split())):
        kind, claims = parse(sentence)
        if kind in TRUE:
            for slot, words in claims.items():
                found.setdefault(slot, []).extend(words)
        elif kind not in OTHER:
            raise ValueError(f"not a sentence of the newsroom: {sentence!r}")
    slots = [slot for fact in FACTS.values() for slot in fact]
    if odd := [slot for slot in slots if len(found.get(slot, [])) != 1]:
        raise ValueError(f"an article gives each fact once, but not {', '.join(odd)}: {text!r}")
    facts = {{"verb": "action"}.get(slot, slot): found[slot][0] for slot in slots}
    return Event(**facts), stance_of(text)


@dataclass(frozen=True)
class SummaryReading:
    """What a summary says of an event.

    Attributes:
        right: Facts that are stated as they are.
        wrong: Facts that are stated otherwise, or in two ways.
        missing: Facts that are not stated.
        is_known: Whether its words are those of a known skeleton.
        stance: Its stance, `none` or `mixed`.
        is_pure: Whether all words that carry a stance carry the same; there is at least one.
        is_empty: Whether there is no text.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missing: tuple[str, ...]
    is_known: bool
    stance: str
    is_pure: bool
    is_empty: bool

    @property
    def facts(self) -> float:
        """Share of the stated facts that are right; fewer than three count as three."""
        return len(self.right) / max(len(self.right) + len(self.wrong), FEWEST)

    @property
    def is_exact(self) -> bool:
        """Whether the skeleton is known and every stated fact right."""
        return self.is_known and not self.wrong


def read_summary(text: str, event: Event) -> SummaryReading:
    """What a text, whatever it is, says of an event."""
    kind, claims = parse(text)
    verdicts = {fact: verdict(claims, slots, event) for fact, slots in FACTS.items()}
    right, wrong, missing = (
        tuple(fact for fact, one in verdicts.items() if one is kind) for kind in (True, False, None)
    )
    is_known, is_pure, is_empty = kind in SKELETONS, len(stance_counts(text)) == 1, not kind
    return SummaryReading(right, wrong, missing, is_known, stance_of(text), is_pure, is_empty)


def verdict(found: Mapping[str, Sequence[str]], slots: Sequence[str], event: Event) -> bool | None:
    """Whether a fact is right; None if nothing is said of it."""
    told = [set(found.get(slot, ())) for slot in slots]
    true = [{getattr(event, "action" if slot == "verb" else slot)} for slot in slots]
    return told == true if any(told) else None


class Summarised(Protocol):
    """A summary that a model wrote: what a measure is given.

    Attributes:
        question: Holds the `article`; `asked`, the stance that its summary shall have; and
            `stance`, that of the article, which counts where none is asked for.
        text: The summary.
    """

    @property
    def question(self) -> Mapping[str, str]:
        """The fields of the article."""

    @property
    def text(self) -> str:
        """The summary."""


class NewsroomMeasures:
    """Measures of summaries of the newsroom's articles, by reading both exactly.

    - `facts`: right / max(stated, 3), of who, what, where, when and amount.
    - `exact`: a known skeleton, and every stated fact right.
    - `kept`: more than half of the words that carry a stance carry the wanted one (Suc).
    - `distance`: units between stance and wanted one, 0 to 2 (Dist); a summary without a stance or
      of several counts as center here, but is never `kept`.
    - `pure`: all words that carry a stance carry the same.
    - `both`: exact and kept.
    - `empty`: there is no text.
    - `unread`: the article is none of the newsroom's; such a summary has no other measure.

    A summary whose wanted stance is not known has no `kept`, `distance` and `both`. It reads the
    stance of any text as well, and so stands beside classifiers of stances.
    """

    name, classes = "newsroom", list(STANCES)
    names = ("facts", "exact", "kept", "distance", "pure", "both", "empty", "unread")

    def score(self, answers: Sequence[Summarised]) -> dict[str, list[float]]:
        """The measures of each summary, by name."""
        found: dict[str, list[float]] = {name: [] for name in self.names}
        for answer in answers:
            for name, value in measures(answer).items():
                found[name].append(float(value))
        return found

    def read(self, texts: Sequence[str]) -> list[int]:
        """Index of the stance of each text; -1 without a stance, or where none has a majority."""
        found = map(stance_of, texts)
        return [STANCES.index(one) if one in STANCES else -1 for one in found]

    def named(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Share of each stance among the words of each text that carry one; 0 without any."""
        counts = map(stance_counts, texts)
        return [
            {name: round(one[name] / max(1, one.total()), 4) for name in STANCES} for one in counts
        ]


def measures(answer: Summarised) -> dict[str, float]:
    """The measures of a summary."""
    try:
        event, _ = read_article(answer.question["article"])
    except ValueError:
        return {"unread": 1}
    one = read_summary(answer.text, event)
    found = {"facts": one.facts, "exact": one.is_exact, "pure": one.is_pure}
    found |= {"empty": one.is_empty, "unread": 0}
    wanted = answer.question.get("asked") or answer.question.get("stance")
    if wanted not in STANCES:
        return found
    is_kept, far = one.stance == wanted, distance(one.stance, wanted)
    return found | {"kept": is_kept, "distance": far, "both": one.is_exact and is_kept}
