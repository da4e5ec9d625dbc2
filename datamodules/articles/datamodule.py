"""Articles for summarisers, with summaries and stances.

A batch is a dict (B = articles, C = tokens of the longest article, S = summary positions, which is
`summary_length`); outside of training it may have fewer articles than the batch size, or none:

- `article_BC`: int64; start mark, tokens, end mark, padded on the right.
- `article_mask_BC`: bool; True = real token, marks included.
- `summary_BS`: int64; tokens and end mark, padded on the right; only padding if it is unknown.
- `summary_mask_BS`: bool; True on tokens and end mark; all False if it is unknown.
- `stance_B`: int64; index in `stances` of the stance of the article; -100 if unknown.
- `summary_stance_B`: int64; the same of its reference summary, as far as the data know it.
- `asked_B`: int64; index of the stance that the summary shall have; -100 if unknown. It is the
  stance of the article, unless another is asked for outside of training.
- `article_B`, `reference_B`: list[str]; whole texts of article and summary, nothing cut.
- `id_B`: list[str]; unique name of the article; the same for every stance asked for.
- `origin_B`: list[str]; file and row.
- `cut_B`: list[int]; tokens of the article that did not fit.
- `num_targets`: dict; `articles`: B, `tokens`: number of True in `summary_mask_BS`, `positions`:
  B * S, `positions_K` for every K that divides S: those of the blocks of K up to the one that ends
  each summary. `step_targets`: the same over one optimizer step on this device.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from datamodules.articles.inputs import InputArticles
from datamodules.articles.items import (
    ArticleItems,
    ArticleTexts,
    Tokens,
    Window,
    blank,
)
from datamodules.articles.leaks import LeakField, without_leaks
from datamodules.articles.source import Article, ArticleSource
from datamodules.articles.stances import Stances
from datamodules.records.document import BadSample, unreadable
from datamodules.records.row_tally import RowTally
from datamodules.stream.checks import check_bounds, check_ids, check_shares
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.length_buckets import Bucketed
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.stream.order import Mixture
from datamodules.text.token_cache import tokenised
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer
from engine.disk.jsonl import append

Part = Literal["train", "validate", "test", "predict"]
PARTS: dict[str, tuple[Part, ...]] = {
    "fit": ("train", "validate"),
    "validate": ("validate",),
    "test": ("test",),
    "predict": ("predict",),
}
"""Parts of the data that each command of the trainer reads."""


class ArticleData(ResumableData):
    """Articles with summaries and stances, tokenised once.

    Args:
        tokenizer: Folder or hub name of a tokenizer. Names of control tokens within a text are
            read as plain characters.
        train: Sources of training articles; every article is drawn equally often. Each needs a
            summary.
        validate: Sources of validation articles.
        test: Sources of test articles.
        predict: Sources of `predict`; None takes those of `test`.
        texts: Articles of `predict` in place of its sources: texts; or a table with an article per
            row, a `.txt` or `.md` file as one article, a folder of such files, or `-` for the
            standard input. Unusable ones are listed and never stop the run.
        key: Column of the articles in tables of `texts`; None takes `article`, `document` or
            `text`.
        stances: Names of the stances by index; articles of another one are refused.
        asked: Stances asked for outside of training: each article comes once for each of them,
            unless it names its own. None asks for the article's own stance.
        article_length: Tokens of an article, its two marks included; longer ones are cut.
        summary_length: Positions of a summary, its end mark included; longer ones are cut.
        batch_size: Articles per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        limit: Number of first articles of each source that are read outside of training; None for
            all.
        pool_size: Approximate number of training articles sorted together by length; 1 keeps them
            shuffled.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder for the tokenised texts; those of `texts` are not kept.
        seed: Seed of the order of the training articles.
        max_bad_rate: Share of unusable articles in a source above which the run stops.
        drop_leaks: Training articles are left out that share their `text` (its opening) or their
            `summary` with one of validation or test, and passages of such articles; empty compares
            nothing, and reads no test articles in training.

    Raises:
        ValueError: A number is out of bounds, a stance is named twice or not at all, or one is
            asked for that is not among `stances`.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[ArticleSource] | None = None,
        validate: list[ArticleSource] | None = None,
        test: list[ArticleSource] | None = None,
        predict: list[ArticleSource] | None = None,
        texts: list[str] | str | None = None,
        key: str | None = None,
        stances: list[str] = ["left", "center", "right"],  # noqa: B006 - never changed
        asked: list[str] | None = None,
        article_length: int = 412,
        summary_length: int = 100,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        limit: int | None = None,
        pool_size: int = 2048,
        num_workers: int = 0,
        cache: str = ".cache/tokens",
        seed: int = 0,
        max_bad_rate: float = 0.01,
        drop_leaks: list[LeakField] = [],  # noqa: B006 - never changed
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.texts = texts
        self.sources: dict[Part, list[ArticleSource]] = {
            "train": list(train or []),
            "validate": list(validate or []),
            "test": list(test or []),
            "predict": list(predict or test or []),
        }
        if texts is not None:
            self.sources["predict"] = [InputArticles(texts, key)]
        self.stances = Stances(stances, asked)
        self.article_length = article_length
        self.summary_length = summary_length
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.limit = limit
        self.pool_size = pool_size
        self.num_workers = num_workers
        self.cache = Path(cache)
        self.seed = seed
        self.max_bad_rate = max_bad_rate
        self.drop_leaks = list(drop_leaks)
        self._check()
        self._articles: dict[Part, list[Article]] = {}
        self._bad: dict[Part, list[BadSample]] = {}
        self._items: dict[Part, ArticleItems] = {}

    @cached_property
    def vocabulary(self) -> TextTokenizer:
        """The tokenizer, read when first needed."""
        return load_tokenizer(self.tokenizer, control_tokens=False)

    # What Lightning asks for

    def prepare_data(self) -> None:
        """Tokenise the articles of this command; Lightning calls it on one process per node."""
        command = None if self.trainer is None else self.trainer.state.fn
        for part in self._parts("fit" if command is None else command.value):
            if self._is_kept(part):
                self._tokens(part)

    def setup(self, stage: str) -> None:
        """Read the articles of a command, print their number and list the unusable ones."""
        folder = self.bad_samples_folder()
        for part in self._parts(stage):
            if part in self._items:
                continue
            self._items[part] = self._open(part)
            rank_zero_only(print)(self._items[part].described(part))
            if folder is not None and self._bad[part]:
                bad = self._bad[part]
                rows = [{"stage": part, "origin": b.origin, "reason": b.reason} for b in bad]
                rank_zero_only(append)(folder / "bad_samples.jsonl", rows)

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training articles, batched by similar length."""
        items = self._items["train"]
        order = Mixture([len(items)], [1.0], self.seed)
        bucketed = Bucketed(order, items.lengths, self.pool_size, self.seed)
        return self.training_loader(items, bucketed, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation article once for each stance asked for; an empty list without any."""
        return self._once("validate") if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every test article once for each stance asked for, in order."""
        return self._once("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Every article of predict once for each stance asked for, in order."""
        return self._once("predict")

    def example(self) -> tuple[Batch, int]:
        """A training batch of blank articles of full length, and its tokens; reads no data."""
        num_tokens = self.batch_size * (self.article_length + self.summary_length)
        return blank(self.batch_size, self.article_length, self.summary_length), num_tokens

    def training_documents(self) -> Iterator[str]:
        """The training articles, then their summaries; needs no tokenizer."""
        articles = self.articles("train")
        yield from (one.text for one in ArticleTexts(articles, "train").documents())

    # Articles, tokens, items

    def articles(self, part: Part) -> list[Article]:
        """The usable articles of a part, in order.

        Raises:
            ValueError: There is no source, too many articles are bad, two have the same id, or
                a stance is unknown.
        """
        if part not in self._articles:
            if not self.sources[part]:
                raise ValueError(
                    f"there are no {part} articles: give data.init_args.{part} a source."
                )
            self._bad[part] = []
            found = [one for source in self.sources[part] for one in self._read(part, source)]
            check_ids(found, "articles", "summaries")
            for one in found:
                self.stances.check(one)
            self._articles[part] = self._apart(found) if part == "train" else found
        return self._articles[part]

    @property
    def knows_summary_stances(self) -> bool:
        """Whether the stance of any training summary is known."""
        return any(one.summary_stance for one in self.articles("train"))

    def _apart(self, found: list[Article]) -> list[Article]:
        """Training articles without those that are evaluated; says how many."""
        if not self.drop_leaks:
            return found
        parts: list[Part] = [part for part in ("validate", "test") if self.sources[part]]
        evaluated = [one for part in parts for one in self.articles(part)]
        kept = without_leaks(found, evaluated, self.drop_leaks)
        fields = " or ".join(self.drop_leaks)
        rank_zero_only(print)(
            f"train: {len(found) - len(kept)} of {len(found)} articles are left out, since their "
            f"{fields} is evaluated too."
        )
        return kept

    def _read(self, part: Part, source: ArticleSource) -> list[Article]:
        """The usable articles of a source; the others are counted."""
        rate = self.max_bad_rate if self._is_kept(part) else 1.0
        limit = None if part == "train" else self.limit
        return list(RowTally().sift(self._sound(part, source), rate, source.name, limit))

    def _sound(self, part: Part, source: ArticleSource) -> Iterator[Article | BadSample]:
        """All articles of a source; those that cannot be used here come as a `BadSample`."""
        for one in source.articles():
            if isinstance(one, Article) and (reason := unusable(one, part)):
                one = BadSample(one.origin, reason)
            if isinstance(one, BadSample):
                self._bad[part].append(one)
            yield one

    def _open(self, part: Part) -> ArticleItems:
        """The articles of a part and their tokens."""
        articles = self.articles(part)
        tokens, summaries = ArticleTexts(articles, part).parted(self._tokens(part))
        window = Window(self.article_length, self.summary_length)
        is_asked = part != "train"
        return ArticleItems(
            articles, tokens, summaries, self.stances, is_asked, self.vocabulary, window
        )

    def _tokens(self, part: Part) -> list[Tokens]:
        """Token ids of all articles of a part, then of their summaries, without marks."""
        texts = ArticleTexts(self.articles(part), f"articles of {part}")
        if self._is_kept(part):
            file = tokenised(texts, self.vocabulary, self.cache, 0.0)
            bounds = file.offsets.tolist()
            return [file.tokens[a + 1 : b - 1] for a, b in pairwise(bounds)]
        found = RowTally().sift(self.vocabulary.encode_documents(texts.documents()), 0.0, part)
        return [np.array(one.ids[1:-1], np.int64) for one in found]

    def _once(self, part: Part) -> EvaluationLoader:
        items = self._items[part]
        return self.evaluation_loader(items, len(items), self.eval_batch_size, self.num_workers)

    def _parts(self, command: str) -> list[Part]:
        """Parts that a command reads; training may do without validation."""
        parts = PARTS[command]
        return [part for part in parts if part == parts[0] or self.sources[part]]

    def _is_kept(self, part: Part) -> bool:
        """Whether the articles of a part are data, not what a user has just typed."""
        return part != "predict" or self.texts is None

    def _check(self) -> None:
        sizes = dict.fromkeys(("batch_size", "eval_batch_size", "pool_size"), 1)
        least = {"article_length": 3, "summary_length": 2, "num_workers": 0, "seed": 0}
        check_bounds(vars(self), least | sizes)
        check_bounds({"limit": 1 if self.limit is None else self.limit}, {"limit": 1})
        check_shares(vars(self), ["max_bad_rate"])


def unusable(article: Article, part: Part) -> str:
    """Why an article cannot be used in a part of the data, in a few words; empty if it can."""
    if reason := unreadable(article.text):
        return f"the article is {reason}"
    return "the summary is empty" if part == "train" and not article.summary.strip() else ""
