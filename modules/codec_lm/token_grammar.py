"""Which token may come next: the byte grammar, walked along the bytes of every token.

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
    """What bytes of a file say.

    Attributes:
        kinds: All of it.
        classify: The kind of each byte, by the grammar, of a file or the beginning of one; a
            ValueError where it is neither.
    """

    kinds: tuple[str, ...]
    classify: Callable[[Any, bytes], Sequence[str]]


@dataclass
class TrieNode:
    """A common beginning of several tokens.

    Attributes:
        token: The token that ends here, if one does.
        more: By the byte that follows.
    """

    token: int | None
    more: Trie


@dataclass(frozen=True)
class TokenGrammar:
    """The grammar of files over a byte-pair vocabulary.

    Attributes:
        grammar: That of bytes.
        words: Bytes of each token; None for those that stand for none. Every byte is a token.
        end: The token that ends a file.
        byte_kinds: What bytes say.
    """

    grammar: ByteGrammar[Any]
    words: Sequence[bytes | None]
    end: int
    byte_kinds: ByteKinds

    def __post_init__(self) -> None:
        """Refuse a vocabulary that can get stuck."""
        missing = {bytes([byte]) for byte in range(256)} - set(self.words)
        if missing:
            raise ValueError(f"{len(missing)} bytes are no tokens, such as {min(missing).hex()}.")

    @classmethod
    def of(cls, grammar: ByteGrammar[Any], tokenizer: Any, byte_kinds: ByteKinds) -> "TokenGrammar":
        """The grammar over a Hugging Face tokenizer whose tokens stand for bytes."""
        names = tokenizer.convert_ids_to_tokens(range(vocabulary_size(tokenizer)))
        special = set(tokenizer.all_special_ids)
        words = [
            None if n in special or name is None else text_to_bytes(name)
            for n, name in enumerate(names)
        ]
        return cls(grammar, words, tokenizer.eos_token_id, byte_kinds)

    @property
    def start(self) -> Any:
        """Before the first byte."""
        return self.grammar.start

    @property
    def kinds(self) -> tuple[str, ...]:
        """What tokens can say: as most of their bytes."""
        return (*self.byte_kinds.kinds, FINISH)

    @cached_property
    def trie(self) -> Trie:
        """All tokens by their bytes."""
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
        """Token of each of the 256 bytes, [256]."""
        number = {word: token for token, word in enumerate(self.words)}
        return np.array([number[bytes([byte])] for byte in range(256)])

    def legal(self, state: Any, budget: int | None = None) -> NDArray[np.bool_]:
        """Which tokens may come next, [V].

        Args:
            state: Where the writer stands.
            budget: Tokens that may still be written, the end included; None where there is no
                limit. A byte may need a token of its own.

        Raises:
            ValueError: The budget does not suffice for any end.
        """
        legal_V = np.zeros(len(self.words), np.bool_)
        if self.grammar.is_end(state):
            legal_V[self.end] = True
            return legal_V
        left = None if budget is None else budget - 1
        legal_V[self.singles[self.grammar.legal(state, left)]] = True
        sure = self.longest if left is None else self._sure(left - self.grammar.cost(state))
        for byte, node in self.branches:
            behind = self.grammar.reach(state, byte)
            if behind is not None:
                found = self._longer(node.more, behind, 2, sure, (left or 0) - 1)
                legal_V[list(found)] = True
        return legal_V

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(len(word) for word in self.words if word)

    @cached_property
    def slacks(self) -> list[int]:
        """By how much the way to the end may grow with a token, by its bytes."""
        return [self.grammar.slack(num) for num in range(self.longest + 1)]

    def _sure(self, spare: int) -> int:
        """Bytes up to which every token leaves a proper end, if so many are to spare."""
        return bisect_left(self.slacks, spare) - 1

    @cached_property
    def branches(self) -> list[tuple[int, TrieNode]]:
        """First bytes of tokens of two bytes or more."""
        return [(byte, node) for byte, node in self.trie.items() if node.more]

    def _longer(self, trie: Trie, state: Any, size: int, sure: int, left: int) -> Iterator[int]:
        """The tokens of a trie that may be written from a state.

        Args:
            trie: By their next byte.
            state: Behind the bytes before.
            size: Bytes of those tokens that end with the next byte.
            sure: Bytes up to which tokens are known to fit.
            left: Bytes that may be written behind a token.
        """
        for byte, node in trie.items():
            behind = self.grammar.reach(state, byte)
            if behind is None:
                continue
            if node.token is not None and (size <= sure or self.grammar.cost(behind) <= left):
                yield node.token
            if node.more:
                yield from self._longer(node.more, behind, size + 1, sure, left)

    def advance(self, state: Any, token: int) -> Any:
        """Where a token leads; the end of a file leads nowhere else.

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
        """Tokens that suffice to end properly, the end included: a byte may need one of its own."""
        return self.grammar.cost(state) + 1

    def sequence(self, tokens: Sequence[int]) -> bytes:
        """The bytes that tokens stand for."""
        return b"".join(self.words[token] or b"" for token in tokens)

    def token_kinds(self, tokens: Sequence[int]) -> list[int]:
        """Number in `kinds` of what each token of a file says; empty if it begins no file."""
        words = [self.words[token] or b"" for token in tokens]
        try:
            of_bytes = iter(self.byte_kinds.classify(self.grammar, b"".join(words)))
        except ValueError:
            return []
        named = [[next(of_bytes) for _ in word] for word in words]
        return [self.kinds.index(vote(some) if some else FINISH) for some in named]
