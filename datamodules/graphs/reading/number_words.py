"""Numbers in words, up to the millions: `one hundred and five`, `twenty-three point five`."""

import re
from decimal import Decimal

ONES = "zero one two three four five six seven eight nine".split()
TEENS = ("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = {word: n for n, word in enumerate([*ONES, *TEENS])}
WORDS |= {word: 10 * n for n, word in enumerate(TENS, 2)}
ONE = f"(?:{'|'.join(ONES[1:])})"
BELOW_100 = rf"(?:(?:{'|'.join(TENS)})(?:[ -]{ONE}(?! hundred))?|{'|'.join(TEENS)}|{ONE})"
BELOW_1000 = rf"(?:{ONE} hundred(?: (?:and )?{BELOW_100})?|{BELOW_100})"
WHOLE = rf"(?:{BELOW_1000} thousand(?: (?:and )?{BELOW_1000})?|{BELOW_1000}|zero)"
DIGIT = rf"(?:{'|'.join(ONES)})\b(?! hundred| thousand)"
IN_WORDS = re.compile(
    rf"\b(?:(minus|negative) )?({WHOLE})(?: point((?: {DIGIT})+))?\b", re.IGNORECASE
)


def with_digits(text: str) -> str:
    """A text with digits for numbers in words."""
    return IN_WORDS.sub(lambda match: str(from_words(match)), text)


def from_words(match: re.Match[str]) -> Decimal:
    """The number of some words."""
    sign, whole, digits = match.groups()
    total, part = 0, 0
    for word in re.split(r"[ -]", whole.lower()):
        if word == "thousand":
            total, part = total + part * 1000, 0
        elif word == "hundred":
            part *= 100
        elif word != "and":
            part += WORDS[word]
    behind = "".join(str(WORDS[digit]) for digit in (digits or "").lower().split())
    return Decimal(f"{'-' if sign else ''}{total + part}{'.' + behind if behind else ''}")
