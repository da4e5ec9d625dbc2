"""Retrieval of demonstrations for a question: dense, BM25 or random.

Shape legend: Q = queries, N = keys, K = keys wanted, D = width of an embedding, V = words.
"""

import hashlib
import re
import warnings
from abc import abstractmethod
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from modules.prompting.encoder import TextEncoder
from modules.prompting.index import Index, digest, faiss_index, plain_index
from modules.prompting.ranking import Ranking, best_of_each

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Ranges of the characters of scripts that are written without spaces between words."""
WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]+"
"""Words of BM25: single characters of such scripts, and runs of other letters, digits and
underscores."""


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
        encoder: TextEncoder,
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
        # encoders without a separate query encoding have one function for both
        encode = getattr(self.encoder, "encode_queries", self.encoder.encode)
        return self.index.search(encode(queries), k)

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
    """Shared words, weighted by rarity (Robertson & Zaragoza, 2009, sec. 3), by bm25s.

    score(q, d) = sum over words t of q: idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b |d| / mean |d|))
    idf(t) = log(1 + (N - n + 0.5) / (n + 0.5)), n = keys with t; never negative, as in Lucene.

    A query that shares no word with any key gets the first keys, with score 0, and a warning.

    Args:
        keys: What is searched.
        k1: How slowly a word's repetitions saturate; 0 counts none.
        b: Length normalisation of keys, in [0, 1].
        words: Regular expression of a word in lower-case text. By default a run of letters, digits
            and underscores, or a single character of a script that is written without spaces.

    Attributes:
        num_asked: Queries so far.
        num_strange: Of them, those that share no word with any key.

    Raises:
        ValueError: A number is out of range, or `words` is not a regular expression.
    """

    def __init__(self, keys: list[str], k1: float = 1.2, b: float = 0.75, words: str = WORD):
        if k1 < 0:
            raise ValueError(f"k1 must not be negative, got {k1}.")
        if not 0 <= b <= 1:
            raise ValueError(f"b must be within [0, 1], got {b}.")
        try:
            self.word = re.compile(words)
        except re.error as error:
            raise ValueError(f"words is not a regular expression: {words!r} ({error})") from error
        self.keys = checked(keys)
        self.k1 = k1
        self.b = b
        self.num_asked = self.num_strange = 0

    @override
    def rank(self, queries: list[str], k: int) -> Ranking:
        k = at_most(k, len(self.keys))
        found = best_of_each(map(self._scores, queries), k)
        self._warn(queries, found)
        return found

    def words(self, text: str) -> list[str]:
        """Words of a text, in lower case."""
        return [found[0] for found in self.word.finditer(text.lower())]

    def _scores(self, query: str) -> NDArray[np.float64]:
        index = self._index
        ids = index.get_tokens_ids(self.words(query))
        scores: NDArray[np.float64] = index.get_scores_from_ids(ids) * (self.k1 + 1)
        return scores

    @cached_property
    def _index(self) -> Any:
        import bm25s

        words = [self.words(key) for key in self.keys]
        number = {word: n for n, word in enumerate(dict.fromkeys(chain.from_iterable(words)))}
        if not number:
            raise ValueError(f"none of {len(self.keys)} keys has a word.")
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene", dtype="float64")
        ids = [[number[word] for word in own] for own in words]
        index.index((ids, number), create_empty_token=False, show_progress=False)
        return index

    def _warn(self, queries: list[str], found: Ranking) -> None:
        """Warn of queries that share no word with any key."""
        strange = [q for q, best in zip(queries, found.score_QK[:, 0], strict=True) if not best]
        self.num_asked += len(queries)
        self.num_strange += len(strange)
        if strange:
            warnings.warn(
                f"{len(strange)} of {len(queries)} queries share no word with any of "
                f"{len(self.keys)} keys and get the first ones, such as {strange[0][:60]!r} "
                f"({self.num_strange} of {self.num_asked} so far); `words` defines what a word is",
                stacklevel=3,
            )


class Random(Retriever):
    """Random keys, the same for the same query whatever else is asked: a baseline.

    With a smaller k, the result is a prefix of that with a larger one.

    Args:
        keys: What is searched.
        seed: Of the draws.
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
    """The keys, checked not to be empty.

    Raises:
        ValueError: There are none.
    """
    if not keys:
        raise ValueError("there are no keys to search.")
    return keys


def at_most(k: int, num_keys: int) -> int:
    """`k`, or the number of keys if there are fewer.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    return min(k, num_keys)
