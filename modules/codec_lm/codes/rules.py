"""Codes as text, bytes and tokens, where all images have the same number of codes.

In texts, code c is the code point 10240 + c. In sequences it is one byte, or two (big-endian) if
there are more than 256 different codes.

Shape legend: N = codes of an image, V = tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.codec_lm.byte_text import FIRST
from modules.codec_lm.rules import FINISH

Codes = NDArray[np.int64]
CODE = "code"
"""Kind of tokens that are codes."""
MOST = 0xD800 - FIRST
"""Most different codes: from there on, code points are surrogates."""


def codes_to_text(code_N: Codes) -> str:
    """Codes as text."""
    return "".join(chr(FIRST + code) for code in code_N.tolist())


def pack(code_N: Codes, num_kinds: int) -> bytes:
    """Codes as bytes.

    Raises:
        ValueError: A code is out of bounds.
    """
    if code_N.size and not (0 <= code_N.min() and code_N.max() < num_kinds):
        raise ValueError(
            f"codes are within [0, {num_kinds}), got {code_N.min()} to {code_N.max()}."
        )
    return code_N.astype(_type(num_kinds)).tobytes()


def unpack(sequence: bytes, num_kinds: int) -> Codes:
    """The codes that bytes stand for; their bounds are not checked.

    Raises:
        ValueError: The last code is truncated.
    """
    size = _type(num_kinds).itemsize
    if len(sequence) % size:
        raise ValueError(f"a code is {size} bytes, which {len(sequence)} bytes are no multiple of.")
    return np.frombuffer(sequence, _type(num_kinds)).astype(np.int64)


def _type(num_kinds: int) -> np.dtype[Any]:
    return np.dtype("u1") if num_kinds <= 256 else np.dtype(">u2")


@dataclass(frozen=True)
class FixedLength:
    """A file is N codes, then the end; the state is the number of codes. See `rules.Rules`.

    Attributes:
        tokens: Token of each code.
        length: N.
        end: The token that ends a file.
        num_tokens: V.
    """

    tokens: Sequence[int]
    length: int
    end: int
    num_tokens: int

    @classmethod
    def of(cls, num_kinds: int, length: int, tokenizer: Any) -> "FixedLength":
        """The rules over a Hugging Face tokenizer whose tokens are single characters.

        Args:
            num_kinds: Number of different codes; the tokenizer may have more.
            length: N.
            tokenizer: As the command `tokenizer` makes it without merges.

        Raises:
            ValueError: A code is no token, or a token is several codes.
        """
        names = tokenizer.convert_ids_to_tokens(range(vocabulary_size(tokenizer)))
        special = set(tokenizer.all_special_ids)
        token_of = {
            name: n for n, name in enumerate(names) if n not in special and name is not None
        }
        merged = [name for name in token_of if len(name) > 1]
        if merged:
            raise ValueError(
                f"{len(merged)} tokens are several codes, such as {merged[0]!r}: make the "
                f"tokenizer with --vocab_size {num_kinds + 1}."
            )
        alphabet = [chr(FIRST + code) for code in range(num_kinds)]
        missing = [character for character in alphabet if character not in token_of]
        if missing:
            raise ValueError(
                f"{len(missing)} of {num_kinds} codes are no tokens: the tokenizer has "
                f"{len(token_of)} codes."
            )
        tokens = tuple(token_of[character] for character in alphabet)
        return cls(tokens, length, tokenizer.eos_token_id, len(names))

    @property
    def start(self) -> int:
        """The state without any code."""
        return 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of tokens."""
        return (CODE, FINISH)

    @cached_property
    def codes(self) -> dict[int, int]:
        """Code of each token that is a code."""
        return {token: code for code, token in enumerate(self.tokens)}

    @cached_property
    def code_mask(self) -> NDArray[np.bool_]:
        """True for tokens that are codes, [V]; read-only."""
        return self._mask(list(self.tokens))

    @cached_property
    def end_mask(self) -> NDArray[np.bool_]:
        """True for the end token, [V]; read-only."""
        return self._mask([self.end])

    def _mask(self, tokens: list[int]) -> NDArray[np.bool_]:
        mask_V = np.zeros(self.num_tokens, np.bool_)
        mask_V[tokens] = True
        mask_V.setflags(write=False)
        return mask_V

    def legal(self, state: int, budget: int | None = None) -> NDArray[np.bool_]:
        """Which tokens may come next, [V].

        Args:
            state: Codes that are written.
            budget: Tokens that may still be written, the end included; None for no limit.

        Raises:
            ValueError: The budget is too small to complete the file.
        """
        if budget is not None and budget < self.need(state):
            raise ValueError(f"{budget} tokens are left, the end needs {self.need(state)}.")
        return self.code_mask if state < self.length else self.end_mask

    def advance(self, state: int, token: int) -> int:
        """The state after a token; the end does not change it.

        Raises:
            ValueError: The token is not legal.
        """
        is_whole = state == self.length
        if (token != self.end) if is_whole else (token not in self.codes):
            raise ValueError(
                f"token {token} is not legal here: {state} of {self.length} codes are written."
            )
        return state if is_whole else state + 1

    def need(self, state: int) -> int:
        """Tokens that complete the file, the end included."""
        return self.length - state + 1

    def sequence(self, tokens: Sequence[int]) -> bytes:
        """The bytes of the codes among some tokens."""
        codes = [self.codes[token] for token in tokens if token in self.codes]
        return pack(np.array(codes, np.int64), len(self.tokens))

    def token_kinds(self, tokens: Sequence[int]) -> list[int]:
        """Index into `kinds` for each token of a file; empty if they begin no valid file."""
        try:
            state = self.start
            for token in tokens:
                state = self.advance(state, token)
        except ValueError:
            return []
        return [self.kinds.index(FINISH if token == self.end else CODE) for token in tokens]
