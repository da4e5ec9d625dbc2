"""What grammars of bytes share: which byte may come next, with how much left to a proper end."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S")
Name = TypeVar("Name", bound=str)
NUM_BYTES = 256


class ByteGrammar(ABC, Generic[S]):
    """Which byte may come next in a file. A state, of type S, is where a writer stands."""

    @property
    @abstractmethod
    def start(self) -> S:
        """Before the first byte."""

    @abstractmethod
    def is_end(self, state: S) -> bool:
        """Whether the file is complete."""

    @abstractmethod
    def mask(self, state: S) -> NDArray[np.bool_]:
        """Which of the 256 bytes may come next, whatever they cost."""

    @abstractmethod
    def reach(self, state: S, byte: int) -> S | None:
        """Where a byte leads; None where it is not legal."""

    @abstractmethod
    def advance(self, state: S, byte: int) -> S:
        """Where a byte leads.

        Raises:
            ValueError: The byte is not legal.
        """

    @abstractmethod
    def cost(self, state: S) -> int:
        """Bytes that suffice to end properly."""

    @abstractmethod
    def margin(self, state: S) -> float:
        """By how much one byte from here may raise that, at most."""

    @abstractmethod
    def slack(self, num: int) -> int:
        """By how much that may grow at most while so many bytes are written."""

    def legal(self, state: S, budget: int | None = None) -> NDArray[np.bool_]:
        """Which of the 256 bytes may come next.

        Args:
            state: Where the writer stands.
            budget: Bytes that may still be written; None where there is no limit. Bytes after which
                no proper end fits are not legal.

        Raises:
            ValueError: The budget does not suffice for any end.
        """
        legal_V = self.mask(state)
        if budget is None:
            return legal_V
        need = self.cost(state)
        if budget < need:
            raise ValueError(f"{budget} bytes are left, the shortest end needs {need}.")
        if budget >= need + self.margin(state):
            return legal_V
        fits_V = np.zeros(NUM_BYTES, np.bool_)
        for byte in np.flatnonzero(legal_V).tolist():
            fits_V[byte] = self.cost(self.advance(state, byte)) <= budget - 1
        return fits_V

    def walk(self, state: S, text: Iterable[int]) -> S:
        """Where several bytes lead.

        Raises:
            ValueError: One of them is not legal; says which.
        """
        for number, byte in enumerate(text):
            try:
                state = self.advance(state, byte)
            except ValueError as error:
                raise ValueError(f"byte {number}: {error}") from None
        return state


def vote(bits: Sequence[Name]) -> Name:
    """The class of most bits; the first one of those that tie."""
    return Counter(bits).most_common(1)[0][0]
