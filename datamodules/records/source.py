"""What every supply of documents, pictures or clips has."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Source(ABC):
    """A named, weighted supply.

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
        """A text that changes when what it supplies may have changed."""


class IndexedSource(Source):
    """A supply of which each thing is found by its number."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of things, unusable ones included."""

    @abstractmethod
    def location(self, index: int) -> str:
        """Where a thing stands, such as `train.parquet:17`, counted from 1."""

    def prepare(self) -> None:
        """Make what reading needs on disk; called on one process a node before any is read."""


def distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one with its number."""
    return [
        name if name not in names[:i] else f"{name} #{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]
