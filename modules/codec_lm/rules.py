"""What a language model of files must know of a vocabulary: which token may come next, and why.

A codec makes its rules for a tokenizer. `tokens.TokenGrammar` are those of files that a grammar of
bytes describes; `codes.FixedLength` those of codes of which each file has as many as all others.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FINISH = "finish"
"""Kind of the token that ends a file."""


class Rules(Protocol):
    """Which token may come next. A state is where a writer stands; it never changes."""

    @property
    def end(self) -> int:
        """The token that ends a file; it begins one as well."""

    @property
    def start(self) -> Any:
        """The state before the first token."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What tokens can say, `FINISH` among it."""

    def legal(self, state: Any, budget: int | None = None) -> NDArray[np.bool_]:
        """Which tokens may come next, [V].

        Args:
            state: Where the writer stands.
            budget: Tokens that may still be written, the end included; None where there is no
                limit. Tokens after which no proper end fits are not legal.

        Raises:
            ValueError: The budget does not suffice for any end.
        """

    def advance(self, state: Any, token: int) -> Any:
        """Where a token leads.

        Raises:
            ValueError: It is not legal.
        """

    def need(self, state: Any) -> int:
        """Tokens that suffice to end properly, the end included."""

    def sequence(self, tokens: Sequence[int]) -> bytes:
        """The bytes that the codec makes a file of; tokens that stand for none are left out."""

    def token_kinds(self, tokens: Sequence[int]) -> list[int]:
        """Number in `kinds` of what each token of a file says; empty if it begins no file."""
