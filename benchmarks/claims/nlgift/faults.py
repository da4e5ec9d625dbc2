"""Wrong answers: other contents, which are then put into words, and texts that tell none or two."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from benchmarks.claims.nlgift.truth import Content
from benchmarks.claims.nlgift.wordings import NONE, Saying, join, wordings, words_of

RETRACTIONS = (
    "Wait, that is wrong.",
    "Actually, that is not correct.",
    "Sorry, I made a mistake.",
    "On second thought, I don't know.",
    "No, I take that back.",
    "Correction: this is incorrect.",
    "Hmm, scratch that.",
    "But that can't be right.",
)
EMPTY = (
    "",
    " ",
    "\n\n",
    ".",
    "?",
    "**",
    "```",
    "$$",
    r"\boxed{}",
    "{}",
    "I don't know.",
    "The answer",
)
"""Texts without an answer."""


# Other contents


def contents(saying: Saying, wanted: Content) -> Iterator[tuple[str, Content]]:
    """Answers beside a right one, most of them wrong, with what was done to it."""
    if wanted.said is not None:
        yield "opposite", Content("no" if wanted.said == "yes" else "yes")
    elif wanted.nodes is None:
        yield from values(wanted) if wanted.value is not None else invented(saying)
    else:
        for name, nodes in sequences(saying, wanted.nodes):
            yield name, replace(wanted, nodes=nodes)
        if wanted.value is not None:
            yield from values(wanted)
        if saying.problem.task in NONE:
            yield "none", Content()


def values(wanted: Content) -> Iterator[tuple[str, Content]]:
    """Other values."""
    value = wanted.value
    assert value is not None
    others = {
        "off by one": (value + 1, value - 1),
        "decimals": (value + Decimal("0.5"), value + Decimal("0.1"), value + Decimal("0.00001")),
        "digits": (value * 10, Decimal(f"{value}1"), Decimal(f"1{value}"), value + 100),
        "negative": (-value - 1,),
        "prefix": tuple(Decimal(str(value)[:k]) for k in range(1, len(str(value).rstrip("0."))))
        if value > 1
        else (),
    }
    for name, found in others.items():
        for one in found:
            yield name, replace(wanted, value=plain(one))


def plain(value: Decimal) -> Decimal:
    """Without exponent."""
    return Decimal(f"{value:f}")


def sequences(saying: Saying, nodes: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Other sequences of nodes."""
    rng, names = saying.rng, saying.problem.names
    at = rng.randrange(len(nodes))
    for one in {0, at, len(nodes) - 1}:
        yield "dropped", nodes[:one] + nodes[one + 1 :]
        yield "repeated", nodes[: one + 1] + nodes[one:]
        for odd in foreign(names):
            yield "foreign", (*nodes[:one], odd, *nodes[one + 1 :])
        yield "another", (*nodes[:one], rng.choice(names), *nodes[one + 1 :])
    for odd in foreign(names):
        yield "foreign at the end", (*nodes, odd)
        yield "foreign at the start", (odd, *nodes)
    yield "repeated", (*nodes, nodes[0])
    yield "extended", (*nodes, rng.choice(names))
    if len(nodes) > 1:
        a, b = sorted(rng.sample(range(len(nodes)), 2))
        moved = [*nodes]
        moved[a], moved[b] = moved[b], moved[a]
        yield "swapped", tuple(moved)
        yield "reversed", nodes[::-1]
        yield "prefix", nodes[: rng.randrange(1, len(nodes))]
        yield "cut", nodes[1:]


def foreign(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of no node."""
    if names[0].isdecimal():
        return (
            str(len(names)),
            str(len(names) + 70),
            "X",
            f"{names[-1]}.5",
            f"-{len(names)}",
            "Q9",
        )
    free = [one for one in ("AB", "Zoe", "Ada") if one not in names]
    return (free[0], "Zed", "7", "Q9")


def invented(saying: Saying) -> Iterator[tuple[str, Content]]:
    """Paths where there is none."""
    names = saying.problem.names
    value = Decimal(3) if saying.problem.task == "shortest_path" else None
    ends = tuple(names[node] for node in saying.problem.asked)
    yield "invented", Content(nodes=ends or names, value=value)
    yield "invented", Content(nodes=tuple(saying.rng.sample(names, len(names))), value=value)
    yield "foreign", Content(nodes=(*names, str(len(names) + 3)), value=value)


# Texts


def texts(saying: Saying, wanted: Content, wrong: Content) -> Iterator[tuple[str, str]]:
    """Texts that give no answer, two of them, or take the right one back.

    Args:
        saying: Puts answers into words.
        wanted: A right answer.
        wrong: A wrong one.
    """
    rng = saying.rng
    for text in EMPTY:
        yield "empty", text
    yield "prefix", f"{saying.subject} is"
    forms, others = wordings(wanted), wordings(wrong)
    for _ in range(4):
        right = rng.choice([*forms.values()])(saying, wanted)
        other = rng.choice([*others.values()])(saying, wrong)
        yield "both", f"{right} {other}"
        yield "both", f"{other}\n{right}"
        yield "run on", f"{right}\n\nQ: {saying.question}\nA: {other}"
        yield "taken back", f"{right} {rng.choice(RETRACTIONS)}"
        yield "taken back", f"{right} {rng.choice(RETRACTIONS)} {other}"
        yield "doubt", f"{right} Or maybe not."
    plain_right = forms["plain"](saying, wanted)
    yield "question", plain_right.replace(".", "").strip() + "?"
    yield "denied", f"It is not true that {plain_right[0].lower()}{plain_right[1:]}"
    yield from of_kind(saying, wanted, wrong)


def of_kind(saying: Saying, wanted: Content, wrong: Content) -> Iterator[tuple[str, str]]:
    """What only answers of one kind are."""
    if wanted.said is not None:
        yield from doubtful_words(saying, wanted.said, wrong.said or "no")
    elif wanted.nodes != wrong.nodes and len(wanted.nodes or ()) > 1 < len(wrong.nodes or ()):
        yield from doubtful_sequences(saying, wanted, wrong)
    if wanted.value is not None and wrong.value is not None and wrong.value != wanted.value:
        yield from doubtful_values(saying, wanted, wrong.value)


def doubtful_words(saying: Saying, said: str, other: str) -> Iterator[tuple[str, str]]:
    """Both words, denials and pieces of words."""
    for a, b in ((said, other), (other, said)):
        for between in (" and ", " or ", "/", ", ", ". ", "\n", ". Or ", ". Or maybe "):
            yield "both", f"The answer is {a}{between}{b}."
        yield "both", f"The answer is {a}. {b.capitalize()}?"
    yield "many", f"{said}, {other}, {said}, {other}"
    yield "denied", f"The answer is not {said}."
    yield "denied", f"Not {said}."
    yield "denied", f"It isn't {said}"
    for text in (said[0], said[:-1], f"{said}{said}", f"{said}{other}", f"{said}_{other}"):
        yield "pieces", f"The answer is {text}."
    for text in ("one", "1", "0.5", "maybe", "unknown", "true and false", "right"):
        yield "foreign", f"The answer is {text}."
    yield "condition", f"If there is a {'path' if saying.problem.asked else 'cycle'}, we say so."


def doubtful_values(saying: Saying, wanted: Content, other: Decimal) -> Iterator[tuple[str, str]]:
    """Two values, denials, bounds, and numbers of other kinds."""
    value = wanted.value
    start = "" if wanted.nodes is None else f"{saying.subject} is {join(wanted)}. "
    subject = "Its length" if wanted.nodes is not None else saying.subject
    for a, b in ((value, other), (other, value)):
        for between in (" or ", " and ", ", ", "/", " to ", "-", "\n", " or maybe ", "; "):
            yield "both", f"{start}{subject} is {a}{between}{b}."
        yield "both", f"{start}{subject} is between {a} and {b}."
        yield "both", f"{start}{subject} is {a} = {b}."
        yield "both", f"{start}{subject} is {a}. It is {b}."
        yield "both", rf"{start}{subject} is {a}. \boxed{{{b}}}"
        yield "both", f"{start}{subject} is {a}.\n{b}"
        for lead in ("Or ", "Or maybe ", "Alternatively, ", "No, ", "Perhaps "):
            yield "both", f"{start}{subject} is {a}. {lead}{b}."
    yield "many", f"{start}{subject} is {value}, {other}, {other + 1} or {other + 2}."
    yield "many", "\n".join(f"{other + k}" for k in range(-3, 4)) + f"\n{value}"
    for bound in (
        "not",
        "at least",
        "at most",
        "more than",
        "less than",
        "about",
        "never",
        "nearly",
    ):
        yield "denied", f"{subject} is {bound} {value}."
    for behind in (",5", "..5", " * 2", " / 3", "x", "%", "e5", "^2", ".5.5", " hundred", " + "):
        yield "pieces", f"{subject} is {value}{behind}{2 if behind == ' + ' else ''}."
    yield "words", f"{subject} is {words_of(replace(wanted, value=other))}."
    yield "words", f"{subject} is {words_of(wanted)} {words_of(replace(wanted, value=other))}."
    yield "words", f"{subject} is {words_of(wanted)} or {words_of(replace(wanted, value=other))}."


def doubtful_sequences(
    saying: Saying, wanted: Content, wrong: Content
) -> Iterator[tuple[str, str]]:
    """Two sequences, denials, and sequences that break off."""
    subject, right, other = saying.subject, join(wanted), join(wrong)
    for a, b in ((right, other), (other, right)):
        for between in (" or ", ", ", "; ", "\n", " or maybe ", " and ", ". Another one is ", ". "):
            yield "both", f"{subject} is {a}{between}{b}."
        yield "both", rf"{subject} is {a}. \boxed{{{b}}}"
        yield "many", f"{subject} is one of these:\n1. {a}\n2. {b}\n3. {a}"
        yield "many", f"{subject} is:\n- {a}\n- {b}"
    yield "denied", f"{subject} is not {right}."
    yield "denied", f"{subject} is anything but {right}."
    yield "cut", f"{subject} is {right} ->"
    yield "cut", f"{subject} is {right} -> ..."
    yield "cut", f"{subject} is ... -> {right}"
    edges = [*itertools.pairwise(wanted.nodes or ())]
    if len(edges) > 1:
        yield "edges", f"{subject} has the edges {', '.join(f'({b},{a})' for a, b in edges)}."
