"""A number, from a free text."""

import re
from decimal import Decimal

from datamodules.graphs.reading.text import plain
from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = {word: n for n, word in enumerate(ONES)} | {w: 10 * n for n, w in enumerate(TENS, 2)}
IN_WORDS = re.compile(
    rf"\b(?:{'|'.join([*WORDS, 'hundred', 'thousand'])})"
    rf"(?:(?:\s+|-|\s+and\s+)(?:{'|'.join([*WORDS, 'hundred', 'thousand'])}))*"
    rf"(?:\s+point(?:\s+(?:{'|'.join(ONES[:10])}))+)?\b",
    re.IGNORECASE,
)
NUMBER = r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|\.\d)"
SUM = rf"{NUMBER}(?:\s*[+]\s*{NUMBER})*(?:\s*=\s*{NUMBER})?"
"""A number, a sum, or an equation of a sum and its result."""
HOLD = (
    r"\s*(?:is|are|was|equals|equal to|of|=|:|be|becomes)*"
    r"\s*(?:equal to|exactly|simply)?\s*[:=]?\s*"
)
"""Between what is told and its number."""


def value_of(text: str, subjects: str) -> Decimal | Ambiguous | None:
    """The number that a text gives as its answer.

    It is the number that follows one of the subjects. A text without them that holds only one
    number gives that.

    Args:
        text: The text.
        subjects: What the answer is called, a regular expression without groups.

    Returns:
        The number; `AMBIGUOUS` if two different ones are given; None for none.
    """
    told = with_digits(plain(text))
    stated = re.compile(rf"(?:{subjects}){HOLD}({SUM})", re.IGNORECASE)
    found = {result(match[1]) for match in stated.finditer(told)}
    if not found:
        found = {number(match[0]) for match in re.finditer(NUMBER, told)}
        return found.pop() if len(found) == 1 else None
    return found.pop() if len(found) == 1 else AMBIGUOUS


def result(told: str) -> Decimal:
    """The value of a number, a sum or an equation: of the last the number that it ends with."""
    left, _, right = told.partition("=")
    if right:
        return number(right)
    return sum((number(part) for part in left.split("+")), Decimal(0))


def number(told: str) -> Decimal:
    """A number with digits; commas between thousands are left out."""
    return Decimal(told.strip().replace(",", ""))


def with_digits(text: str) -> str:
    """A text with digits for numbers in words, up to the thousands."""
    return IN_WORDS.sub(lambda match: str(from_words(match[0])), text)


def from_words(words: str) -> Decimal:
    """The number that some words name."""
    whole, _, digits = re.sub(r"\s+", " ", words.lower()).partition(" point ")
    total, part = 0, 0
    for word in re.split(r"[ -]", whole):
        if word == "thousand":
            total, part = total + max(part, 1) * 1000, 0
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word != "and":
            part += WORDS[word]
    behind = "".join(str(WORDS[digit]) for digit in digits.split())
    return Decimal(f"{total + part}.{behind}" if behind else total + part)
