"""ROUGE of a text against references (Lin, 2004), by the package rouge-score."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from modules.metrics.text.references import check_references

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
    check_references(candidate, references)
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
