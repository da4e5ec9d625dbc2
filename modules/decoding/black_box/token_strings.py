"""Local token ids of the strings or bytes that an endpoint reports.

Endpoints write a token in different forms: `text` as it occurs in a text (` the`), `decoded` alone,
which in SentencePiece vocabularies loses the space before it (`the`), or its `piece` in the
vocabulary (`Ġthe`, `▁the`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from modules.causal_lm.tokens.prompts import prompt_ids
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.decoding.branches.vocabulary import strings
from modules.endpoint.next_tokens import Candidate

Form = Literal["text", "decoded", "piece"]

UNKNOWN = "\ufffd"
"""Replacement of bytes that are not a character."""
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A byte in vocabularies of SentencePiece."""
TOKEN_ID = re.compile(r"token_id:(\d+)")
"""A token by its id, as vLLM writes it with `return_tokens_as_token_ids`."""
ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
"""A byte after `bytes:`, as OpenAI's completions write it."""


class TokenStrings:
    """The tokens of a local vocabulary by their strings.

    A string is matched only if exactly one token fits: neither an ambiguous string nor one with a
    lost byte is guessed.

    Args:
        tokenizer: A Hugging Face tokenizer.
        forms: Forms in which the endpoint may write strings. All of them is the safe choice; if the
            endpoint's own is known, fewer strings are ambiguous.
    """

    def __init__(self, tokenizer: Any, forms: Sequence[Form] = ("text", "decoded", "piece")):
        pieces = strings(tokenizer)
        special = set(tokenizer.all_special_ids)
        shown = {"decoded": alone(tokenizer), "piece": pieces}
        shown["text"] = in_text(tokenizer, shown["decoded"])
        self.raw = [
            piece.encode() if i in special else in_bytes(text, piece)
            for i, (text, piece) in enumerate(zip(shown["text"], pieces, strict=True))
        ]
        self.by_bytes: dict[bytes, set[int]] = defaultdict(set)
        for i, raw in enumerate(self.raw):
            self.by_bytes[raw].add(i)
        self.never = self._never_written(pieces)
        self.by_string = by_text(shown[form] for form in forms)
        self.by_any_string = by_text(shown.values())
        self.tokenizer = tokenizer

    def _never_written(self, pieces: list[str]) -> set[int]:
        """Byte tokens with an ordinary token of the same text, which tokenizers prefer."""
        return {
            i
            for i, (raw, piece) in enumerate(zip(self.raw, pieces, strict=True))
            if BYTE_PIECE.fullmatch(piece) and len(self.by_bytes[raw]) > 1
        }

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.raw)

    def id(self, candidate: Candidate) -> int | None:
        """The local id of an endpoint's token; None if none fits, or more than one."""
        numbered = TOKEN_ID.fullmatch(candidate.token)
        if numbered:
            number = int(numbered[1])
            return number if number < len(self) else None
        if candidate.id is not None and candidate.id in self._meant(candidate):
            return candidate.id
        raw = exact_bytes(candidate)
        if raw is not None:
            return self._only(self.by_bytes.get(raw, set()))
        if UNKNOWN in candidate.token:
            return None
        return self._only(self.by_string.get(candidate.token, set()))

    def _meant(self, candidate: Candidate) -> set[int]:
        """All tokens that a string or bytes may mean, in any form."""
        raw = candidate.token.encode() if candidate.raw is None else candidate.raw
        return self.by_bytes.get(raw, set()) | self.by_any_string.get(candidate.token, set())

    def _only(self, ids: set[int]) -> int | None:
        left = ids - self.never
        return left.pop() if len(left) == 1 else None

    def ids(self, text: str) -> list[int]:
        """Tokens whose text is exactly this."""
        return sorted(self.by_bytes.get(text.encode(), set()) - self.never)

    def text(self, ids: Iterable[int]) -> str:
        """Text of tokens after another text; a replacement character for incomplete characters."""
        return b"".join(self.raw[i] for i in ids).decode("utf-8", "replace")

    def is_read_back(self, before: str, ids: Sequence[int]) -> bool:
        """Whether a text is tokenised to exactly these tokens when read after another one.

        Bounds on the distribution of such a reader hold only then.
        """
        start = prompt_ids(self.tokenizer, before)
        return prompt_ids(self.tokenizer, before + self.text(ids)) == [*start, *ids]

    def is_whole(self, token: int) -> bool:
        """Whether the token consists of complete characters."""
        try:
            self.raw[token].decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True


def by_text(forms: Iterable[Sequence[str]]) -> dict[str, set[int]]:
    """Token ids by their strings in any of these forms."""
    found: dict[str, set[int]] = defaultdict(set)
    for texts in forms:
        for i, text in enumerate(texts):
            found[text].add(i)
    return found


def exact_bytes(candidate: Candidate) -> bytes | None:
    """Bytes that carry more information than the string.

    Some endpoints give only the bytes of the string, lost spaces and replacement characters
    included; such bytes are as ambiguous as the string.
    """
    if candidate.raw is not None and candidate.raw != candidate.token.encode():
        return candidate.raw
    if candidate.token.startswith("bytes:") and "\\x" in candidate.token:
        escaped = candidate.token.removeprefix("bytes:").encode()
        return ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), escaped)
    return None


def alone(tokenizer: Any) -> list[str]:
    """Every token decoded alone."""
    return decode(tokenizer, [[i] for i in range(vocabulary_size(tokenizer))])


def in_text(tokenizer: Any, decoded: list[str]) -> list[str]:
    """Every token as it is decoded after another one, with its space."""
    anchor = next((i for i, text in enumerate(decoded) if text.isascii() and text.isalpha()), None)
    if anchor is None:
        return decoded
    start = decoded[anchor]
    pairs = decode(tokenizer, [[anchor, i] for i in range(len(decoded))])
    return [
        pair[len(start) :] if pair.startswith(start) else text
        for pair, text in zip(pairs, decoded, strict=True)
    ]


def decode(tokenizer: Any, ids: list[list[int]]) -> list[str]:
    """Texts of token ids, without skipping or cleaning up."""
    how = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    return [tokenizer.decode(one, **how) for one in ids]


def in_bytes(text: str, piece: str) -> bytes:
    """Bytes of a token; from its piece if they are not complete characters."""
    if UNKNOWN not in text:
        return text.encode()
    found = BYTE_PIECE.fullmatch(piece)
    if found:
        return bytes.fromhex(found[1])
    table = byte_of_character()
    if all(character in table for character in piece):
        return bytes(table[character] for character in piece)
    return text.encode()


def byte_of_character() -> dict[str, int]:
    """Bytes by the characters that represent them in byte-level vocabularies.

    Printable bytes of Latin-1 represent themselves, the others the characters from 256 on, in order
    (Radford et al., 2019).
    """
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + n): b for n, b in enumerate(others)}
