"""Rules by which a short answer matches a reference, after SQuAD's normalisation."""

import re
import string
from collections.abc import Callable, Sequence

from modules.metrics.text.references import check_references

ARTICLE = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation (ASCII) and the articles a, an, the; single spaces.

    What SQuAD's evaluation compares (Rajpurkar et al., 2016).
    """
    return " ".join(ARTICLE.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact(answer: str, references: Sequence[str]) -> bool:
    """Whether the normalised answer is a normalised reference."""
    check_references(answer, references)
    return normalised(answer) in map(normalised, references)


def first_line(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer's first line that is not blank, normalised, is a normalised reference."""
    lines = [line for line in answer.splitlines() if line.strip()]
    return exact(lines[0] if lines else "", references)


def begins(answer: str, references: Sequence[str]) -> bool:
    """Whether the normalised answer begins with the words of a normalised reference."""
    said, wanted = _compared(answer, references)
    return any(f"{said} ".startswith(f"{one} ") for one in wanted)


def contains(answer: str, references: Sequence[str]) -> bool:
    """Whether the words of a normalised reference are consecutive in the normalised answer."""
    said, wanted = _compared(answer, references)
    return any(f" {one} " in f" {said} " for one in wanted)


Rule = Callable[[str, Sequence[str]], bool]
RULES: dict[str, Rule] = {
    "exact": exact,
    "first_line": first_line,
    "begins": begins,
    "contains": contains,
}
"""What makes a short answer right; `exact` implies `begins`, and that implies `contains`."""


def _compared(answer: str, references: Sequence[str]) -> tuple[str, list[str]]:
    """Normalised answer and references; one of which nothing is left fits an empty answer only."""
    check_references(answer, references)
    said = normalised(answer)
    return said, [one for one in map(normalised, references) if one or not said]
