"""The interface of every source of documents, images or clips."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


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

    def prepare(self) -> None:
        """Create the caches that reading needs; called on one process per node before reading."""


def distinct(names: Sequence[str]) -> list[str]:
    """The names, made unique by numbering repeated ones."""
    return [
        name if name not in names[:i] else f"{name} #{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]
