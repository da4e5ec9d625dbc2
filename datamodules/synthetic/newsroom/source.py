"""News as articles with summaries, and as labelled texts for a classifier of stances."""

import json
from collections.abc import Iterator
from functools import cached_property
from random import Random
from typing import Literal, get_args

from typing_extensions import override

from datamodules.articles.source import Article, ArticleSource
from datamodules.labelled_text.source import LabelledRow, LabelledSource
from datamodules.records.document import Document
from datamodules.synthetic.newsroom.events import WHOLE, Part, Span, pick
from datamodules.synthetic.newsroom.news import GRAMMAR, News, Style, news
from datamodules.synthetic.newsroom.words import STANCES

Texts = Literal["articles", "summaries", "both"]


class NewsroomArticles(ArticleSource):
    """Articles with summaries, made on demand; needs no file.

    Args:
        num: Number of articles.
        seed: Seed of the articles; use different ones for training and test.
        part: Which events and stances may occur: `seen` in training, `held_out` events,
            `new_stance` for topics told in a stance that training never shows with them, or `all`.
        kept: Probability that a summary keeps the stance of its article; otherwise it is told in
            another one.
        is_long: Whether articles have ten to fourteen sentences, not three to six.

    Raises:
        ValueError: `num` is below 1, or `kept` is no probability.
    """

    def __init__(
        self,
        num: int,
        seed: int = 0,
        part: Part = "seen",
        kept: float = 0.5,
        is_long: bool = False,
    ):
        check_source(num, kept=kept)
        self.num = num
        self.seed = seed
        self.part: Part = part
        self.style = Style(kept, is_long)

    @property
    @override
    def name(self) -> str:
        size = ":long" if self.style.is_long else ""
        return f"newsroom:{self.part}:{self.num}:{self.seed}{size}"

    @override
    def articles(self) -> Iterator[Article]:
        for index in range(self.num):
            made = news(self.seed, index, self.part, self.style)
            origin = f"{self.name}:{index + 1}"
            told = made.text, made.summary, made.stance
            yield Article(origin, origin, *told, summary_stance=made.summary_stance)


class NewsroomTexts(LabelledSource):
    """Articles and summaries with their own stance as label; needs no file.

    Their domain is `articles` or `summaries`. Every text is told in the words of one stance.

    Args:
        num: Number of events; of each there is an article, a summary, or both.
        split: Split of all texts, such as `train`.
        seed: Seed of the events; use different ones for each split.
        part: Which events and stances may occur, as of `NewsroomArticles`.
        texts: Which texts there are.
        is_long: Whether articles have ten to fourteen sentences, not three to six.
        noise: Share of the texts whose label is drawn at random.
        lexicon: The span of the verbs, parties and values of each stance that are used: a
            classifier trained on `[0.0, 0.5]` has never seen the other half, and errs on texts
            that use nothing else.
        weight: Not used; all texts are drawn with equal weight.

    Raises:
        ValueError: `num` is below 1, `noise` is no probability, or `lexicon` no span.
    """

    def __init__(
        self,
        num: int,
        split: str,
        seed: int = 0,
        part: Part = "seen",
        texts: Texts = "both",
        is_long: bool = False,
        noise: float = 0.0,
        lexicon: Span = WHOLE,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        check_source(num, noise=noise)
        if texts not in get_args(Texts):
            raise ValueError(f"texts must be one of {', '.join(get_args(Texts))}, got {texts!r}.")
        if not 0 <= lexicon[0] <= lexicon[1] - 0.25 <= 0.75:
            raise ValueError(f"lexicon must span at least 0.25 within [0, 1], got {lexicon}.")
        self.num = num
        self.split = split
        self.seed = seed
        self.part: Part = part
        self.domains = ["articles", "summaries"] if texts == "both" else [texts]
        self.noise = noise
        self.style = Style(is_long=is_long, lexicon=(lexicon[0], lexicon[1]))

    @property
    @override
    def name(self) -> str:
        return f"newsroom:{self.part}:{self.num}:{self.seed}:{'+'.join(self.domains)}"

    @override
    def fingerprint(self) -> str:
        style = [self.style.is_long, *self.style.lexicon]
        return json.dumps([type(self).__name__, GRAMMAR, self.name, self.split, self.noise, style])

    @override
    def documents(self) -> Iterator[Document]:
        for row in self.rows:
            yield Document(row.text, row.origin)

    @property
    @override
    def rows(self) -> list[LabelledRow]:
        return self._rows

    @cached_property
    def _rows(self) -> list[LabelledRow]:
        return [
            self._row(news(self.seed, index, self.part, self.style), index, domain)
            for index in range(self.num)
            for domain in self.domains
        ]

    def _row(self, made: News, index: int, domain: str) -> LabelledRow:
        origin = f"{self.name}:{index + 1}"
        is_article = domain == "articles"
        text, stance = (
            (made.text, made.stance) if is_article else (made.summary, made.summary_stance)
        )
        rng = Random(f"label/{domain}/{self.part}/{self.seed}/{index}")
        label = pick(rng, STANCES) if rng.random() < self.noise else stance
        return LabelledRow(text, label, origin, domain=domain, pair_id=origin, split=self.split)


def check_source(num: int, **shares: float) -> None:
    """Raise a ValueError unless there is a sample, and the shares are within [0, 1]."""
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}.")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be within [0, 1], got {share}.")
