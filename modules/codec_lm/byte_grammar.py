"""Base class of byte grammars: which bytes may come next within a byte budget."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S")
Kind = TypeVar("Kind", bound=str)
NUM_BYTES = 256


class ByteGrammar(ABC, Generic[S]):
    """An automaton over the bytes of a file; S is the type of its states."""

    @property
    @abstractmethod
    def start(self) -> S:
        """The state before the first byte."""

    @abstractmethod
    def is_end(self, state: S) -> bool:
        """Whether the file is complete."""

    @abstractmethod
    def mask(self, state: S) -> NDArray[np.bool_]:
        """Which of the 256 bytes may come next, without a budget."""

    @abstractmethod
    def reach(self, state: S, byte: int) -> S | None:
        """The state after a byte; None if the byte is not legal."""

    @abstractmethod
    def advance(self, state: S, byte: int) -> S:
        """The state after a byte.

        Raises:
            ValueError: The byte is not legal.
        """

    @abstractmethod
    def cost(self, state: S) -> int:
        """Bytes that suffice to complete the file."""

    @abstractmethod
    def margin(self, state: S) -> float:
        """The most by which one byte from here can raise the cost."""

    @abstractmethod
    def slack(self, num: int) -> int:
        """The most by which the cost can rise while `num` bytes are written."""

    def legal(self, state: S, budget: int | None = None) -> NDArray[np.bool_]:
        """Which of the 256 bytes may come next.

        Args:
            state: The current state.
            budget: Bytes that may still be written; None for no limit. Bytes after which the file
                can no longer be completed are not legal.

        Raises:
            ValueError: The budget is too small to complete the file.
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
        """The state after several bytes.

        Raises:
            ValueError: One of them is not legal; the message names its index.
        """
        for index, byte in enumerate(text):
            try:
                state = self.advance(state, byte)
            except ValueError as error:
                raise ValueError(f"byte {index}: {error}") from None
        return state


def vote(bits: Sequence[Kind]) -> Kind:
    """The most frequent kind; the first of those that tie."""
    return Counter(bits).most_common(1)[0][0]
