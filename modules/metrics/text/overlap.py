"""Overlap of a text with references: ROUGE, and rules by which a short answer counts as right."""

import re
import string
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

ARTICLE = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)

KINDS = {
    "rouge_1": "rouge1",
    "rouge_2": "rouge2",
    "rouge_l": "rougeL",
    "rouge_lsum": "rougeLsum",
}
"""Names of quantities, and what rouge-score calls them."""
Kind = Literal["rouge_1", "rouge_2", "rouge_l", "rouge_lsum"]
USUAL: tuple[Kind, ...] = ("rouge_1", "rouge_2", "rouge_l")
"""Those that the papers report."""


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


class Words:
    """A text split otherwise than rouge-score does, for other scripts than Latin.

    Args:
        pattern: Regular expression of a word in lower-case text.

    Raises:
        ValueError: It is no regular expression.
    """

    def __init__(self, pattern: str):
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"words is no regular expression: {pattern!r} ({error})") from error

    def tokenize(self, text: str) -> list[str]:
        """Words of a text, as rouge-score asks for them."""
        return [found[0] for found in self.pattern.finditer(text.lower())]


def rouge(
    candidate: str,
    references: Sequence[str],
    kinds: Sequence[Kind] = USUAL,
    stemmer: bool = False,
    words: str | None = None,
) -> dict[str, Overlap]:
    """ROUGE of a text (Lin, 2004) by rouge-score, each of the reference with the highest F.

    Args:
        candidate: The text; an empty one shares nothing.
        references: One or more.
        kinds: Which: n-grams of one word or two, the longest common subsequence of the texts, or
            that of their lines (`rouge_lsum`), as summaries of a sentence a line are scored.
        stemmer: Whether words are cut to their stems (Porter), as the English papers do.
        words: Regular expression of a word; runs of ASCII letters and digits where None.

    Returns:
        Overlaps by kind.

    Raises:
        ValueError: There is no reference; stems of words of one's own are asked for; or `words` is
            no regular expression.
    """
    _check(candidate, references)
    found = scorer(tuple(kinds), stemmer, words).score_multi(list(references), candidate)
    return {kind: Overlap(*map(float, found[KINDS[kind]])) for kind in kinds}


@cache
def scorer(kinds: tuple[Kind, ...], stemmer: bool, words: str | None) -> Any:
    """What rouge-score scores by."""
    from rouge_score.rouge_scorer import RougeScorer

    if stemmer and words is not None:
        raise ValueError("the stemmer cuts rouge-score's own words only: give stemmer or words")
    own = None if words is None else Words(words)
    return RougeScorer([KINDS[kind] for kind in kinds], use_stemmer=stemmer, tokenizer=own)


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
