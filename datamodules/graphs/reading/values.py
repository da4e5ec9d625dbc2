"""A number, from a free text."""

import re
from collections.abc import Iterator
from decimal import Decimal

from datamodules.graphs.reading.ends import without_ends
from datamodules.graphs.reading.number_words import with_digits
from datamodules.graphs.reading.text import BOX, NOT, TIMES, is_denied, is_taken_back, statements
from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous

PARTS = rf"{TIMES}\u00f7/\^"
NUMBER = (
    rf"(?<![\w.{PARTS}])(?<!\d,)(?<![\d{PARTS}] )-?\d+(?:,\d{{3}})*(?:\.\d+)?"
    rf"(?![\w%]|\.+\d|,\d| ?[{PARTS}]| -?\d| (?:hundred|thousand|million|point|half)\b)"
)
"""Not a part of another number, of a product or of a fraction."""
COUNTED = r"(?! (?:nodes|edges|hops|steps|vertices|paths|arcs|times)\b)"
SUM = rf"{NUMBER}(?: ?\+ ?{NUMBER})*(?: ?= ?{NUMBER}(?: ?\+ ?{NUMBER})*)*(?! ?\+){COUNTED}"
"""A number, a sum, or an equation."""
AND = r"(?:\s?(?:[,;\u2013-]|\bor\b|\band\b|\bto\b)\s?(?:(?:maybe|perhaps|possibly)\s)?|\n)"
LIST = rf"{SUM}(?:{AND}{SUM})*"
"""Several, which make an answer ambiguous."""
HOLD = rf"(?:\s?(?:is|are|was|equals|equal to|of|be|becomes|exactly|simply))*[\s:=({{\[\"'{BOX}]*"
"""Between what is told and its number."""
ANYWHERE = rf"{BOX}|\bit is|(?-i:\bA:)"
"""What any answer may follow."""
LEAD = r"(?:(?:so|thus|hence|therefore|or|and|no|else|otherwise|alternatively|instead),? )*"
"""Words that a sentence of a number alone may begin with."""
ALONE = rf"(?:^|\n|[.!?;] ){LEAD}{LIST}[.!]?(?=\n|$)"
"""A number that is a line, or the last sentence of one."""
DENIED = re.compile(rf"{NOT}\s(?:exactly\s|equal to\s)?({LIST})", re.IGNORECASE)
BOUND = re.compile(
    rf"\b(?:at least|at most|(?:more|less|greater|smaller|fewer|larger|higher|lower) than|about|"
    rf"around|approximately|roughly|nearly|almost|above|below|over|under|up to|between)\s{LIST}",
    re.IGNORECASE,
)
"""A number that only bounds the answer."""
UNKNOWN = "\u2205"
"""Stands for numbers that are denied, or only bound the answer."""


def value_of(text: str, subjects: str) -> Decimal | Ambiguous | None:
    """The number that a text gives as its answer.

    It is the number that follows one of the subjects, is boxed or stands alone. A text without such
    a number that holds only one number gives that.

    Args:
        text: The text.
        subjects: What the answer is called, a regular expression without groups.

    Returns:
        The number; `AMBIGUOUS` if two different ones are given, or it is taken back; None for none.
    """
    said = with_digits(without_ends(statements(text)))
    denied = {value for match in DENIED.finditer(said) for value in values_in(match[1])}
    said = BOUND.sub(UNKNOWN, DENIED.sub(UNKNOWN, said))
    stated = re.compile(rf"(?:{subjects}|{ANYWHERE}){HOLD}({LIST})|({ALONE})", re.IGNORECASE)
    matches = [*stated.finditer(said)]
    is_stated = bool(matches)
    matches = matches or [*re.finditer(f"({LIST})", said)]
    found = {value for match in matches for value in values_in(match[match.lastindex or 0])}
    if not found and re.search(rf"(?:{subjects}){HOLD}(?:{UNKNOWN}|-?\d)", said, re.IGNORECASE):
        return AMBIGUOUS
    if not found or (len(found) > 1 and not is_stated):
        return None
    is_open = any(is_denied(said[: match.start()]) for match in matches)
    is_open = is_open or is_taken_back(said[matches[-1].end() :]) or not found.isdisjoint(denied)
    return AMBIGUOUS if len(found) > 1 or is_open else found.pop()


def values_in(said: str) -> Iterator[Decimal]:
    """The values of a list: of an equation the last one, or both where no sum explains them."""
    for match in re.finditer(SUM, said):
        sides = [[number(one) for one in re.findall(NUMBER, side)] for side in match[0].split("=")]
        totals = [one[0] if len(one) == 1 else sum(one, Decimal(0)) for one in sides]
        yield from totals[-1:] if any(len(one) > 1 for one in sides) else totals


def number(said: str) -> Decimal:
    """A number with digits; commas between thousands are left out."""
    return Decimal(said.replace(",", ""))
