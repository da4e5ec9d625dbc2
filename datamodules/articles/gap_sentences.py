"""Pairs to train on from articles alone (Zhang et al., 2020, PEGASUS, sec. 3.1)."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from typing_extensions import override

from datamodules.articles.source import Article, ArticleSource
from datamodules.records.document import BadSample
from datamodules.stream.checks import check_bounds

SENTENCE = re.compile(r"(?<=[.!?])(?:\s*(?:''|\"))?\s+")
"""Between two sentences, closing quotes included."""


class GapSentences(ArticleSource):
    """Passages of articles without their principal sentence, which is the summary.

    The principal sentence is the one whose words the rest of its passage repeats most: by the F1
    of single words, as ROUGE-1 counts them, the first of several equal ones.

    A passage is `part_of` its article, so that `ArticleData.drop_leaks` leaves out the passages of
    articles that are evaluated.

    Args:
        source: The articles; their own summaries are not used.
        sentences: Sentences of a passage. Passages follow each other; a last one of fewer than
            three sentences is left out.
        least: Words of a principal sentence, at least.
        most: The same, at most.
        passages: Passages of an article, at most; None for all.

    Raises:
        ValueError: A number is out of bounds.
    """

    def __init__(
        self,
        source: ArticleSource,
        sentences: int = 6,
        least: int = 5,
        most: int = 16,
        passages: int | None = None,
    ):
        self.source = source
        self.sentences, self.least, self.most = sentences, least, most
        self.passages = passages
        check_bounds(vars(self), {"sentences": 3, "least": 1, "most": least})
        check_bounds({"passages": 1 if passages is None else passages}, {"passages": 1})

    @property
    @override
    def name(self) -> str:
        return f"passages of {self.source.name}"

    @override
    def articles(self) -> Iterator[Article | BadSample]:
        for one in self.source.articles():
            if isinstance(one, BadSample):
                yield one
            else:
                yield from self.pairs(one)

    def pairs(self, article: Article) -> Iterator[Article]:
        """The passages of an article that have a principal sentence; there may be none."""
        lines = [line for part in article.text.splitlines() for line in SENTENCE.split(part)]
        sentences = [" ".join(line.split()) for line in lines if line.strip()]
        starts = range(0, len(sentences) - 2, self.sentences)[: self.passages]
        for number, start in enumerate(starts):
            passage = sentences[start : start + self.sentences]
            at = principal(passage, self.least, self.most)
            if at is not None:
                rest = " ".join(passage[:at] + passage[at + 1 :])
                name = f"{article.id}.{number + 1}"
                made = replace(article, id=name, text=rest, summary=passage[at])
                # the stance known of a summary is that of another one
                yield replace(made, summary_stance="", part_of=article)


def principal(sentences: list[str], least: int, most: int) -> int | None:
    """Index of the sentence that the others repeat most; None if none has the right length.

    Args:
        sentences: The sentences.
        least: Words that it has at least.
        most: Words that it has at most.
    """
    counts = [Counter(re.findall(r"\w+", one.lower())) for one in sentences]
    total = sum(counts, Counter[str]())
    found = [
        (-overlap(count, total - count), at)
        for at, count in enumerate(counts)
        if least <= count.total() <= most
    ]
    return min(found)[1] if found else None


def overlap(one: Counter[str], rest: Counter[str]) -> float:
    """F1 of single words, ROUGE-1."""
    return 2 * (one & rest).total() / max(1, one.total() + rest.total())
