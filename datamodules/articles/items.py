"""Batches of articles with their summaries.

Shape legend: B = articles, C = tokens of the longest article, S = summary positions.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.articles.source import Article
from datamodules.articles.stances import Stances
from datamodules.records.document import Document
from datamodules.stream.loader import Batch
from datamodules.text.rows import padded
from datamodules.text.source import TextSource
from datamodules.text.tokenizer import TextTokenizer

Tokens = NDArray[np.int64] | NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True)
class Window:
    """How much of a text a batch holds, its marks included.

    Attributes:
        article: Tokens of an article, at most.
        summary: Positions of a summary, S.
    """

    article: int
    summary: int

    def cut(self, num_tokens: int) -> int:
        """Tokens of an article that do not fit beside its two marks."""
        return max(0, num_tokens - (self.article - 2))


class ArticleItems:
    """Articles, each once for every stance that is asked for; `datamodule` documents the batch.

    Args:
        articles: The articles.
        tokens: Token ids of each article without marks.
        summaries: Token ids of each summary without marks; None where it is unknown.
        stances: The stances.
        is_asked: Whether other stances than those of the articles may be asked for.
        tokenizer: Knows the marks.
        window: How much of a text fits.
    """

    def __init__(
        self,
        articles: Sequence[Article],
        tokens: Sequence[Tokens],
        summaries: Sequence[Tokens | None],
        stances: Stances,
        is_asked: bool,
        tokenizer: TextTokenizer,
        window: Window,
    ):
        self.articles = articles
        self.tokens = tokens
        self.summaries = summaries
        self.stances = stances
        asked = [stances.wanted(a) if is_asked else [stances.index(a.stance)] for a in articles]
        self.items = [(at, stance) for at, wanted in enumerate(asked) for stance in wanted]
        self.start, self.end, self.pad = tokenizer.start, tokenizer.eos, tokenizer.pad
        self.window = window

    def __len__(self) -> int:
        """Number of articles, counted once for every stance asked for."""
        return len(self.items)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each item in a batch, marks included, int64 [items]."""
        sizes = np.array([len(self.tokens[at]) for at, _ in self.items], np.int64)
        return np.minimum(sizes + 2, self.window.article)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real items; there may be none.

        Args:
            ids: Indices of the items.
            num_real: Number of items that count; the ids after them are padding.
        """
        chosen = [self.items[index] for index in ids[:num_real].tolist()]
        places = [at for at, _ in chosen]
        articles = [self.articles[at] for at in places]
        article_BC, article_mask_BC = padded([self._article(at) for at in places], self.pad)
        summary_BS, summary_mask_BS = padded(
            [self._summary(at) for at in places], self.pad, self.window.summary
        )
        return {
            "article_BC": torch.from_numpy(article_BC),
            "article_mask_BC": torch.from_numpy(article_mask_BC),
            "summary_BS": torch.from_numpy(summary_BS),
            "summary_mask_BS": torch.from_numpy(summary_mask_BS),
            "stance_B": _integers([self.stances.index(one.stance) for one in articles]),
            "summary_stance_B": _integers(
                [self.stances.index(one.summary_stance) for one in articles]
            ),
            "asked_B": _integers([stance for _, stance in chosen]),
            "article_B": [one.text for one in articles],
            "reference_B": [one.summary for one in articles],
            "id_B": [one.id for one in articles],
            "origin_B": [one.origin for one in articles],
            "cut_B": [self.window.cut(len(self.tokens[at])) for at in places],
            "num_targets": {
                "articles": len(chosen),
                "tokens": int(summary_mask_BS.sum()),
                **block_positions(summary_mask_BS),
            },
        }

    def described(self, stage: str) -> str:
        """Numbers of articles, of their stances and of those that are cut, in one line."""
        stances = [(name or "unknown", self._count(name)) for name in [*self.stances.names, ""]]
        told = ", ".join(f"{num:,} {name}" for name, num in stances if num)
        lost = [self.window.cut(len(tokens)) for tokens in self.tokens]
        share = sum(lost) / max(1, sum(map(len, self.tokens)))
        facts = {
            f"are longer than {self.window.article} tokens and cut ({share:.1%} of all tokens)": (
                len(lost) - lost.count(0)
            ),
            "have no summary": sum(one is None for one in self.summaries),
            f"have a summary longer than {self.window.summary} tokens, which is cut": sum(
                one is not None and len(one) >= self.window.summary for one in self.summaries
            ),
        }
        said = "".join(f"; {num:,} {what}" for what, num in facts.items() if num)
        more = len(self.items) - len(self.articles)
        each = f"; in {len(self.items):,} requests for a stance" if more else ""
        return f"{stage}: {len(self.articles):,} articles ({told}){said}{each}"

    def _count(self, stance: str) -> int:
        return sum(one.stance == stance for one in self.articles)

    def _article(self, at: int) -> NDArray[np.int64]:
        inner = self.tokens[at][: self.window.article - 2]
        return np.concatenate([[self.start], inner, [self.end]]).astype(np.int64)

    def _summary(self, at: int) -> NDArray[np.int64]:
        """The tokens that fit and the end mark; nothing of an unknown summary."""
        tokens = self.summaries[at]
        if tokens is None:
            return np.zeros(0, np.int64)
        return np.concatenate([tokens[: self.window.summary - 1], [self.end]]).astype(np.int64)


class ArticleTexts(TextSource):
    """The texts of articles, then all known summaries, as documents to be tokenised.

    Args:
        articles: The articles.
        title: Their name, for messages.
    """

    def __init__(self, articles: Sequence[Article], title: str):
        super().__init__()
        self.articles = articles
        self.title = title

    @property
    @override
    def name(self) -> str:
        return self.title

    @override
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for one in self.documents():
            data = one.text.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        return json.dumps([type(self).__name__, digest.hexdigest()])

    @override
    def documents(self) -> Iterator[Document]:
        for one in self.articles:
            yield Document(one.text, one.origin)
        for one in self.articles:
            if one.summary:
                yield Document(one.summary, one.origin)

    def parted(self, tokens: Sequence[Tokens]) -> tuple[list[Tokens], list[Tokens | None]]:
        """Token ids of all documents as those of the articles and those of their summaries."""
        rest = iter(tokens[len(self.articles) :])
        summaries = [next(rest) if one.summary else None for one in self.articles]
        return list(tokens[: len(self.articles)]), summaries


def _integers(values: Sequence[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def block_positions(mask_BS: NDArray[np.bool_]) -> dict[str, int]:
    """All positions; and those of blocks up to the one that ends each summary, by their size."""
    length = mask_BS.shape[1]
    size_B = mask_BS.sum(1).clip(min=1)
    sizes = [size for size in range(1, length + 1) if length % size == 0]
    ends = {f"positions_{size}": int((-(-size_B // size) * size).sum()) for size in sizes}
    return {"positions": mask_BS.size} | ends


def blank(num: int, article_length: int, summary_length: int) -> Batch:
    """A batch of articles and summaries of full length, every token 0.

    Args:
        num: Articles.
        article_length: Tokens of each.
        summary_length: Tokens of each summary.
    """
    article_BC = torch.zeros(num, article_length, dtype=torch.int64)
    summary_BS = torch.zeros(num, summary_length, dtype=torch.int64)
    full_BS = torch.ones_like(summary_BS, dtype=torch.bool)
    stance_B, names = torch.zeros(num, dtype=torch.int64), [str(n) for n in range(num)]
    targets = {"articles": num, "tokens": full_BS.numel(), **block_positions(full_BS.numpy())}
    return {
        "article_BC": article_BC,
        "article_mask_BC": torch.ones_like(article_BC, dtype=torch.bool),
        "summary_BS": summary_BS,
        "summary_mask_BS": full_BS,
        **dict.fromkeys(("stance_B", "summary_stance_B", "asked_B"), stance_B),
        **dict.fromkeys(("article_B", "reference_B", "id_B", "origin_B"), names),
        "cut_B": [0] * num,
        "num_targets": targets,
        "step_targets": targets,
    }
