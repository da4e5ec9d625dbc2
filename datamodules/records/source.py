"""The interface of every source of documents, images or clips."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Source(ABC):
    """A named, weighted source of samples.

    Args:
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    def __init__(self, weight: float = 1.0):
        self.weight = weight

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name for logs."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes whenever the samples may have changed."""


class IndexedSource(Source):
    """A source whose samples are read by index."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples, bad ones included."""

    @abstractmethod
    def location(self, index: int) -> str:
        """Origin of a sample, such as `train.parquet:17`, counted from 1."""

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The order of one pass of training through the samples: a permutation of their indices."""
        return rng.permutation(len(self))

    def prepare(self) -> None:
        """Create the caches that reading needs; called on one process per node before reading."""


def drawn_from(
    shard_N: NDArray[np.integer], window: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A permutation in which the samples of a few shards at a time are mixed.

    Shards come in a random order. Sample n gets the key place(shard of n) + window * u, u uniform
    in [0, 1), and samples are sorted by it: a shard is left for good `window` shards after its
    first sample, so at most window + 1 of them are in use at any time.

    Args:
        shard_N: Number of the shard of each sample.
        window: Shards that are mixed, at least 1.
        rng: Of this pass.

    Returns:
        Indices of the samples, int64 [N].
    """
    place_N = rng.permutation(int(shard_N.max()) + 1)[shard_N]
    return np.argsort(place_N + window * rng.random(len(shard_N)), kind="stable")


def distinct(names: Sequence[str]) -> list[str]:
    """The names, made unique by numbering repeated ones."""
    return [
        name if name not in names[:i] else f"{name} #{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]
