"""Protocol of token rules: which tokens may come next, and what each token encodes.

A codec makes its rules for a tokenizer: `token_grammar.TokenGrammar` for files that a byte grammar
describes, `codes.rules.FixedLength` for files that all have the same number of codes.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FINISH = "finish"
"""Kind of the token that ends a file."""


class Rules(Protocol):
    """An automaton over tokens. States are immutable."""

    @property
    def end(self) -> int:
        """The token that ends a file; it also starts one."""

    @property
    def start(self) -> Any:
        """The state before the first token."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of tokens, `FINISH` among them."""

    def legal(self, state: Any, budget: int | None = None) -> NDArray[np.bool_]:
        """Which tokens may come next, [V].

        Args:
            state: The current state.
            budget: Tokens that may still be written, the end included; None for no limit. Tokens
                after which the file can no longer be completed are not legal.

        Raises:
            ValueError: The budget is too small to complete the file.
        """

    def advance(self, state: Any, token: int) -> Any:
        """The state after a token.

        Raises:
            ValueError: The token is not legal.
        """

    def need(self, state: Any) -> int:
        """Tokens that suffice to complete the file, the end included."""

    def sequence(self, tokens: Sequence[int]) -> bytes:
        """The bytes that the codec makes a file of; tokens without bytes are skipped."""

    def token_kinds(self, tokens: Sequence[int]) -> list[int]:
        """Index into `kinds` for each token of a file; empty if they begin no valid file."""
