"""Overlap of a text with references: ROUGE, and rules by which a short answer counts as right."""

import re
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

from modules.metrics.cider import grams_of

WORD = re.compile(r"[a-z0-9]+")
"""Words of the common ROUGE scorer: runs of ASCII letters and digits of the lower-cased text."""
ARTICLE = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)

Words = Callable[[str], list[str]]
"""Turns a text into words; pass one of your own for stems or other scripts."""


class Overlap(NamedTuple):
    """What two texts share, each in [0, 1].

    Attributes:
        precision: Share of the candidate.
        recall: Share of the reference.
        f1: Their harmonic mean.
    """

    precision: float
    recall: float
    f1: float


def words_of(text: str) -> list[str]:
    """Lower-case words as the common ROUGE scorer splits them; nothing is stemmed."""
    return WORD.findall(text.lower())


def rouge_n(candidate: str, reference: str, n: int, words: Words = words_of) -> Overlap:
    """ROUGE-N: n-grams that both texts have, as often as both have them (Lin, 2004, sec. 2).

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    ours, theirs = (grams_of(words(text), n) for text in (candidate, reference))
    return overlap((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(candidate: str, reference: str, words: Words = words_of) -> Overlap:
    """ROUGE-L: the longest common subsequence of two texts, each taken as one sentence.

    Lin, 2004, sec. 3.1, with beta = 1.
    """
    ours, theirs = words(candidate), words(reference)
    return overlap(longest_common(ours, theirs), len(ours), len(theirs))


def rouge(candidate: str, references: Sequence[str], words: Words = words_of) -> dict[str, Overlap]:
    """ROUGE-1, -2 and -L of a text, each of the reference with the highest F.

    Args:
        candidate: The text; an empty one shares nothing.
        references: One or more.
        words: Turns a text into words.

    Returns:
        Overlaps under `rouge_1`, `rouge_2` and `rouge_l`.

    Raises:
        ValueError: There is no reference.
    """
    _check(candidate, references)
    found = {
        "rouge_1": [rouge_n(candidate, one, 1, words) for one in references],
        "rouge_2": [rouge_n(candidate, one, 2, words) for one in references],
        "rouge_l": [rouge_l(candidate, one, words) for one in references],
    }
    return {name: max(each, key=lambda one: one.f1) for name, each in found.items()}


def mean_rouge(
    candidates: Sequence[str], references: Sequence[Sequence[str]], words: Words = words_of
) -> dict[str, Overlap]:
    """Means over texts; empty ones count as 0.

    Raises:
        ValueError: There is no text, or not one list of references for each.
    """
    if len(candidates) != len(references) or not candidates:
        raise ValueError(f"{len(candidates)} texts for {len(references)} lists of references.")
    scores = [rouge(c, r, words) for c, r in zip(candidates, references, strict=True)]
    columns = {name: zip(*(one[name] for one in scores), strict=True) for name in scores[0]}
    return {
        name: Overlap(*(sum(each) / len(scores) for each in column))
        for name, column in columns.items()
    }


def overlap(shared: int, ours: int, theirs: int) -> Overlap:
    """Precision, recall and F of counts; 0 where nothing is shared."""
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    return Overlap(shared / ours, shared / theirs, 2 * shared / (ours + theirs))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table a step (Hyyro, 2004).

    Bit i of `row` is 0 where the table rises at word i of the first text, so that a step is a few
    operations on one long integer.
    """
    places: dict[str, int] = {}
    for index, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << index
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        rises = row & places.get(word, 0)
        row = (row + rises | row - rises) & full
    return len(one) - row.bit_count()


# Short answers


def normalised(text: str) -> str:
    """Lower case, without punctuation (ASCII) and the articles a, an, the; single spaces.

    What SQuAD's evaluation compares (Rajpurkar et al., 2016).
    """
    return " ".join(ARTICLE.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact(answer: str, references: Sequence[str]) -> bool:
    """Whether the normalised answer is a normalised reference."""
    _check(answer, references)
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
    """Whether the words of a normalised reference stand side by side in the normalised answer."""
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
    _check(answer, references)
    said = normalised(answer)
    return said, [one for one in map(normalised, references) if one or not said]


def _check(text: str, references: Sequence[str]) -> None:
    """Raise a ValueError where there is nothing to compare with."""
    if not references:
        raise ValueError(f"no reference for {text[:60]!r}.")
    if isinstance(references, str):
        raise ValueError(f"references must be a list of texts, got the text {references[:60]!r}.")
