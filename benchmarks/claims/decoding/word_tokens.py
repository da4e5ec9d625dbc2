"""Word-level tokenizers, and texts with a loss on some of their tokens."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

END = "<end>"
"""The start, end and padding token."""
IGNORED = -100
"""Label of a token without a loss."""


class Spelled(NamedTuple):
    """A text as token ids.

    Attributes:
        ids: Of all tokens.
        is_asked: Whether a model is to predict the token.
    """

    ids: list[int]
    is_asked: list[bool]


def tokenizer_of(words: Iterable[str]) -> Any:
    """A tokenizer with exactly these tokens; at each position the longest one matches.

    Texts of such words come back from their ids letter by letter.

    Args:
        words: The tokens, spaces and punctuation included.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = sorted({*words})
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate([END, *known])}, END))
    longest_first = sorted(known, key=len, reverse=True)
    pattern = Regex("|".join(map(re.escape, longest_first)))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def spell(tokenizer: Any, pieces: Sequence[tuple[str, bool]]) -> Spelled:
    """A text of pieces, each with or without a loss.

    Args:
        tokenizer: Of the model.
        pieces: Consecutive texts, and whether there is a loss on them.

    Raises:
        ValueError: A piece has text that is not a token.
    """
    ids: list[int] = []
    is_asked: list[bool] = []
    for text, asked in pieces:
        new = tokenizer.encode(text, add_special_tokens=False)
        if tokenizer.decode(new) != text:
            raise ValueError(f"{text!r} is not made of the tokenizer's words.")
        ids += new
        is_asked += [asked] * len(new)
    return Spelled(ids, is_asked)


def batch(texts: Sequence[Spelled]) -> tuple[Tensor, Tensor]:
    """Ids [B, L] of texts, padded on the right with 0, and their labels."""
    longest = max(len(one.ids) for one in texts)
    token_BL = torch.zeros(len(texts), longest, dtype=torch.long)
    label_BL = torch.full((len(texts), longest), IGNORED)
    for b, (ids, is_asked) in enumerate(texts):
        token_L = torch.tensor(ids)
        token_BL[b, : len(ids)] = token_L
        label_BL[b, : len(ids)] = token_L.where(torch.tensor(is_asked), IGNORED)
    return token_BL, label_BL
