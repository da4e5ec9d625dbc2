"""Marks around a text, and the way from tokens of a summary to its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Marks:
    """Token ids that surround a text, or replace a part of it.

    Attributes:
        start: Before it; the tokenizer's bos, or cls, or else its end.
        end: Behind it; the tokenizer's eos, or sep, or else its bos.
        pad: Behind that; the tokenizer's pad, or else its end.
        mask: In the place of a hidden token; None where the tokenizer has none.
    """

    start: int
    end: int
    pad: int
    mask: int | None = None

    @classmethod
    def of(cls, tokenizer: Any) -> "Marks":
        """Of a tokenizer, as the data read it.

        Raises:
            ValueError: It has no mark at all.
        """
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        cls_, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        end = next((one for one in (eos, sep, bos) if one is not None), None)
        if end is None:
            raise ValueError(f"the tokenizer {tokenizer.name_or_path} marks no start and no end")
        start = next(one for one in (bos, cls_, end) if one is not None)
        pad = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        return cls(int(start), int(end), int(pad), tokenizer.mask_token_id)

    def are_over(self, token_BS: Tensor) -> Tensor:
        """Which tokens end a text: the end, or padding."""
        return (token_BS == self.end) | (token_BS == self.pad)

    def are_read(self, token_BS: Tensor) -> Tensor:
        """Which tokens a reader sees: those of the text (`text`), and the end mark after it."""
        is_over_BS = self.are_over(token_BS)
        is_behind_BS = is_over_BS.cumsum(1) - is_over_BS.long() > 0
        return (token_BS != self.pad) & ~is_behind_BS

    def text(self, tokenizer: Any, token_S: Sequence[int]) -> str:
        """Text up to the first end or padding."""
        over = (n for n, token in enumerate(token_S) if token in (self.end, self.pad))
        kept = list(token_S[: next(over, len(token_S))])
        return str(tokenizer.decode(kept, skip_special_tokens=True))
