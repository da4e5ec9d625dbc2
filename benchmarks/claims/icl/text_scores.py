"""Scores of documents by words alone: BM25, importance weights of hashed n-grams (DSIR)."""

from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray


def by_words(texts: Sequence[str], prompts: Sequence[str]) -> list[float]:
    """BM25 of each text, the words of all prompts of a task as one query."""
    import bm25s

    index = bm25s.BM25()
    index.index([text.split() for text in texts], show_progress=False)
    known = index.vocab_dict
    words = [word for prompt in prompts for word in prompt.split() if word in known]
    scores: list[float] = index.get_scores(words).tolist()
    return scores


def by_importance(
    texts: Sequence[str], task: Sequence[str], num_buckets: int = 10_000
) -> list[float]:
    """Log importance weight of each text, log p(text | task) - log p(text | pool).

    Both are bags of hashed words and pairs of words (Xie et al., 2023, DSIR); each bucket counts
    one more, so that none is impossible.

    Args:
        texts: The pool.
        task: Texts of the task.
        num_buckets: Of the hash.
    """
    counts = np.stack([hashed(text, num_buckets) for text in texts])
    target = sum((hashed(text, num_buckets) for text in task), np.zeros(num_buckets))
    weight = log_share(target) - log_share(counts.sum(0))
    scores: list[float] = (counts @ weight).tolist()
    return scores


def hashed(text: str, num_buckets: int) -> NDArray[np.float64]:
    """How often the words and pairs of words of a text fall into each bucket."""
    words = text.split()
    grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    buckets = [crc32(gram.encode()) % num_buckets for gram in grams]
    return np.bincount(buckets, minlength=num_buckets).astype(np.float64)


def log_share(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the share of each bucket, with one count more in each."""
    more = counts + 1
    share: NDArray[np.float64] = np.log(more / more.sum())
    return share
