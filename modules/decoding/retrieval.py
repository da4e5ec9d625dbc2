"""Which demonstrations suit a question: by meaning, by words or by chance.

Shape legend: Q = queries, N = keys, K = how many are wanted, D = width of an embedding, V = words.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from modules.decoding.encoder import Encoder
from modules.decoding.index import Index, digest, faiss_index, plain_index
from modules.decoding.ranking import Ranking, best_of_each

WORD = r"(?u)\w+"
"""Words of BM25: runs of letters, digits and underscores."""
QUERIES = 64
"""Queries that BM25 scores against all keys at a time."""


@runtime_checkable
class Retriever(Protocol):
    """Finds keys for queries. Subclasses take the keys first and can be named in YAML."""

    @abstractmethod
    def rank(self, queries: list[str], k: int) -> Ranking:
        """The k best keys of each query, or all where there are fewer.

        Of equal scores, the key that comes first wins.

        Raises:
            ValueError: `k` is below 1.
        """


class Dense(Retriever):
    """Inner products of a sentence encoder's embeddings (Han, 2023, with Contriever).

    The keys are encoded when first needed, once for every pool, encoder and setting.

    Args:
        keys: What is searched.
        encoder: Embeds keys and queries.
        cache: Folder of the embeddings, mapped into memory; in memory where None.
        faiss: A description of an index of FAISS, such as "Flat" or "HNSW32", which need not be
            exact; a matrix product, which is, where None.
    """

    def __init__(
        self,
        keys: list[str],
        encoder: Encoder,
        cache: str | None = None,
        faiss: str | None = None,
    ):
        self.keys = checked(keys)
        self.encoder = encoder
        self.cache = None if cache is None else Path(cache)
        self.faiss = faiss

    @override
    def rank(self, queries: list[str], k: int) -> Ranking:
        k = at_most(k, len(self.keys))
        return self.index.search(self.encoder.encode(queries), k)

    @cached_property
    def index(self) -> Index:
        """The keys' embeddings."""
        name = digest([self.encoder.fingerprint(), *self.keys])
        if self.faiss is None:
            return plain_index(self.cache, name, self._embedded)
        return faiss_index(self.cache, name, self._embedded, self.faiss)

    def _embedded(self) -> NDArray[np.float32]:
        return self.encoder.encode(self.keys)


class BM25(Retriever):
    """Words in common, rare ones more (Robertson & Zaragoza, 2009, sec. 3).

    score(q, d) = sum over words t of q: idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b |d| / mean |d|))
    idf(t) = log(1 + (N - n + 0.5) / (n + 0.5)), n = keys with t; never negative, as in Lucene.

    Args:
        keys: What is searched.
        k1: How slowly a word's repetitions saturate; 0 counts none.
        b: How much long keys are held back, in [0, 1].

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(self, keys: list[str], k1: float = 1.2, b: float = 0.75):
        if k1 < 0:
            raise ValueError(f"k1 must not be negative, got {k1}.")
        if not 0 <= b <= 1:
            raise ValueError(f"b must be within [0, 1], got {b}.")
        self.keys = checked(keys)
        self.k1 = k1
        self.b = b

    @override
    def rank(self, queries: list[str], k: int) -> Ranking:
        k = at_most(k, len(self.keys))
        return best_of_each(self._scores(queries), k)

    def _scores(self, queries: list[str]) -> Iterator[NDArray[np.float64]]:
        vectoriser, weight_VN = self._fitted
        for at in range(0, len(queries), QUERIES):
            count_QV = vectoriser.transform(queries[at : at + QUERIES])
            yield from (count_QV @ weight_VN).toarray()

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        """What counts words, and what each word says for each key, sparse [V, N]."""
        from sklearn.feature_extraction.text import CountVectorizer

        vectoriser = CountVectorizer(token_pattern=WORD, dtype=np.float64)
        try:
            count_NV = vectoriser.fit_transform(self.keys)
        except ValueError as error:  # an empty vocabulary
            raise ValueError(f"none of {len(self.keys)} keys has a word.") from error
        length_N = np.asarray(count_NV.sum(1)).ravel()
        with_word_V = np.bincount(count_NV.indices, minlength=count_NV.shape[1])
        rarity_V = np.log1p((len(self.keys) - with_word_V + 0.5) / (with_word_V + 0.5))
        pace_N = self.k1 * (1 - self.b + self.b * length_N / length_N.mean())
        tf = count_NV.data
        pace = np.repeat(pace_N, np.diff(count_NV.indptr))
        count_NV.data = rarity_V[count_NV.indices] * tf * (self.k1 + 1) / (tf + pace)
        return vectoriser, count_NV.T.tocsr()


class Random(Retriever):
    """Any keys, alike for the same query, whatever is asked beside it: a baseline.

    Fewer keys are the first of more.

    Args:
        keys: What is searched.
        seed: Another seed draws others.
    """

    def __init__(self, keys: list[str], seed: int = 0):
        self.keys = checked(keys)
        self.seed = seed

    @override
    def rank(self, queries: list[str], k: int) -> Ranking:
        k = at_most(k, len(self.keys))
        return best_of_each(map(self._drawn, queries), k)

    def _drawn(self, query: str) -> NDArray[np.float64]:
        name = hashlib.sha256(query.encode()).digest()
        return np.random.default_rng([self.seed, *name]).random(len(self.keys))


def checked(keys: list[str]) -> list[str]:
    """The keys, if there are any.

    Raises:
        ValueError: There are none.
    """
    if not keys:
        raise ValueError("there is no key to search.")
    return keys


def at_most(k: int, num_keys: int) -> int:
    """As many keys as are wanted, if there are so many.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    return min(k, num_keys)
