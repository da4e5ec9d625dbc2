"""Which tokens may come next: a byte grammar, walked along the bytes of every token.

Shape legend: V = tokens of the vocabulary.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.codec_lm.byte_grammar import ByteGrammar, vote
from modules.codec_lm.byte_text import text_to_bytes
from modules.codec_lm.rules import FINISH

Trie = dict[int, "TrieNode"]


class ByteKinds(NamedTuple):
    """What the bytes of a file can encode.

    Attributes:
        kinds: All kinds of bytes.
        classify: Gives the kind of each byte of a file, or of a prefix of one, by the grammar.
            Raises ValueError for anything else.
    """

    kinds: tuple[str, ...]
    classify: Callable[[Any, bytes], Sequence[str]]


@dataclass
class TrieNode:
    """A common prefix of several tokens.

    Attributes:
        token: The token that ends here, if any.
        more: Longer prefixes, by the next byte.
    """

    token: int | None
    more: Trie


@dataclass(frozen=True)
class TokenGrammar:
    """The grammar of files over a byte-pair vocabulary.

    Attributes:
        grammar: The byte grammar.
        words: Bytes of each token; None for tokens without bytes. Every single byte is a token.
        end: The token that ends a file.
        byte_kinds: Kinds of bytes.
    """

    grammar: ByteGrammar[Any]
    words: Sequence[bytes | None]
    end: int
    byte_kinds: ByteKinds

    def __post_init__(self) -> None:
        """Refuse a vocabulary that lacks bytes: generation could reach a dead end."""
        missing = {bytes([byte]) for byte in range(256)} - set(self.words)
        if missing:
            raise ValueError(f"{len(missing)} bytes are no tokens, such as {min(missing).hex()}.")

    @classmethod
    def of(cls, grammar: ByteGrammar[Any], tokenizer: Any, byte_kinds: ByteKinds) -> "TokenGrammar":
        """The grammar over a Hugging Face tokenizer of bytes as text."""
        names = tokenizer.convert_ids_to_tokens(range(vocabulary_size(tokenizer)))
        special = set(tokenizer.all_special_ids)
        words = [
            None if n in special or name is None else text_to_bytes(name)
            for n, name in enumerate(names)
        ]
        return cls(grammar, words, tokenizer.eos_token_id, byte_kinds)

    @property
    def start(self) -> Any:
        """The state before the first byte."""
        return self.grammar.start

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of tokens; a token has the kind of most of its bytes."""
        return (*self.byte_kinds.kinds, FINISH)

    @cached_property
    def trie(self) -> Trie:
        """All tokens, by their bytes."""
        root = TrieNode(None, {})
        for token, word in enumerate(self.words):
            node = root
            for byte in word or b"":
                node = node.more.setdefault(byte, TrieNode(None, {}))
            if word:
                node.token = token
        return root.more

    @cached_property
    def singles(self) -> NDArray[np.int64]:
        """Token of each single byte, [256]."""
        token_of = {word: token for token, word in enumerate(self.words)}
        return np.array([token_of[bytes([byte])] for byte in range(256)])

    def legal(self, state: Any, budget: int | None = None) -> NDArray[np.bool_]:
        """Which tokens may come next, [V].

        Args:
            state: The current state.
            budget: Tokens that may still be written, the end included; None for no limit. Each
                byte may need a token of its own.

        Raises:
            ValueError: The budget is too small to complete the file.
        """
        legal_V = np.zeros(len(self.words), np.bool_)
        if self.grammar.is_end(state):
            legal_V[self.end] = True
            return legal_V
        left = None if budget is None else budget - 1
        legal_V[self.singles[self.grammar.legal(state, left)]] = True
        sure = self.longest if left is None else self._sure(left - self.grammar.cost(state))
        for byte, node in self.branches:
            following = self.grammar.reach(state, byte)
            if following is not None:
                longer = self._longer(node.more, following, 2, sure, (left or 0) - 1)
                legal_V[list(longer)] = True
        return legal_V

    @cached_property
    def longest(self) -> int:
        """Length of the longest token, in bytes."""
        return max(len(word) for word in self.words if word)

    @cached_property
    def slacks(self) -> list[int]:
        """The most by which a token can raise the cost, by its length in bytes."""
        return [self.grammar.slack(num) for num in range(self.longest + 1)]

    def _sure(self, spare: int) -> int:
        """Length up to which every token fits, if `spare` bytes are left beyond the cost."""
        return bisect_left(self.slacks, spare) - 1

    @cached_property
    def branches(self) -> list[tuple[int, TrieNode]]:
        """First bytes of tokens of at least two bytes."""
        return [(byte, node) for byte, node in self.trie.items() if node.more]

    def _longer(self, trie: Trie, state: Any, size: int, sure: int, left: int) -> Iterator[int]:
        """The legal tokens of a trie.

        Args:
            trie: The tokens, by their next byte.
            state: State after their common prefix.
            size: Length of the tokens that end with the next byte.
            sure: Length up to which tokens are known to fit.
            left: Bytes that may be written after a token.
        """
        for byte, node in trie.items():
            following = self.grammar.reach(state, byte)
            if following is None:
                continue
            if node.token is not None and (size <= sure or self.grammar.cost(following) <= left):
                yield node.token
            if node.more:
                yield from self._longer(node.more, following, size + 1, sure, left)

    def advance(self, state: Any, token: int) -> Any:
        """The state after a token; the end of a file does not change it.

        Raises:
            ValueError: The token is not legal.
        """
        word = self.words[token]
        if word is None:
            if token == self.end and self.grammar.is_end(state):
                return state
            raise ValueError(f"token {token} is not legal here: {state}.")
        return self.grammar.walk(state, word)

    def need(self, state: Any) -> int:
        """Tokens that suffice to complete the file, the end included: one a byte."""
        return self.grammar.cost(state) + 1

    def sequence(self, tokens: Sequence[int]) -> bytes:
        """The bytes of some tokens."""
        return b"".join(self.words[token] or b"" for token in tokens)

    def token_kinds(self, tokens: Sequence[int]) -> list[int]:
        """Index into `kinds` for each token of a file; empty if they begin no valid file."""
        words = [self.words[token] or b"" for token in tokens]
        try:
            of_bytes = iter(self.byte_kinds.classify(self.grammar, b"".join(words)))
        except ValueError:
            return []
        by_token = [[next(of_bytes) for _ in word] for word in words]
        return [self.kinds.index(vote(kinds) if kinds else FINISH) for kinds in by_token]
