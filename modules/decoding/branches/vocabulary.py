"""Mapping of tokens between vocabularies, by their strings.

Shape legend: V = tokens of the first vocabulary, W = tokens of another.
"""

from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.tokens.vocabulary import vocabulary_size

NONE = -1
"""Stands for a token that the other vocabulary does not have."""
SHOWN = 3
"""Differing entries that a message shows."""


def strings(tokenizer: Any) -> list[str]:
    """The strings of all ids of a Hugging Face tokenizer, in order; ids between them have none."""
    found = tokenizer.convert_ids_to_tokens(range(vocabulary_size(tokenizer)))
    return [f"\0{i}" if one is None else one for i, one in enumerate(found)]


def check_same(first: Any, other: Any, name: str = "another branch") -> None:
    """Make sure that two tokenizers give every id the same string.

    Entries after the end of the first vocabulary are allowed; they are never chosen.

    Args:
        first: Tokenizer of the first branch.
        other: Tokenizer of another one.
        name: Name of that other branch, for the message.

    Raises:
        ValueError: An entry differs, or one is missing; names the first ones.
    """
    if first is other:
        return
    ours, theirs = strings(first), strings(other)
    theirs_too = theirs[: len(ours)] + [""] * (len(ours) - len(theirs))
    apart = [i for i, (a, b) in enumerate(zip(ours, theirs_too, strict=True)) if a != b]
    if not apart:
        return
    differences = "; ".join(
        f"{i} is {ours[i]!r} in the first and {theirs[i]!r} in the other"
        if i < len(theirs)
        else f"{i} is {ours[i]!r} in the first and missing in the other"
        for i in apart[:SHOWN]
    )
    raise ValueError(
        f"{name} has another vocabulary than the first branch: {len(apart)} of {len(ours)} entries "
        f"differ: {differences}. Branches must share one, or give the branch a mapping by strings."
    )


def map_by_string(first: Any, other: Any) -> Tensor:
    """Ids of another vocabulary for those of the first, by equal strings.

    Returns:
        Integer [V]; `NONE` if the other has no such token. Such tokens are never chosen.

    Raises:
        ValueError: The vocabularies share no token.
    """
    id_of = {text: i for i, text in reversed(list(enumerate(strings(other))))}
    found = torch.tensor([id_of.get(text, NONE) for text in strings(first)])
    if bool((found == NONE).all()):
        raise ValueError("the two vocabularies share no token: there is nothing to map.")
    return found


class Alignment:
    """Logits of a branch in the order of the first vocabulary.

    Args:
        num_tokens: V, the width of the first branch's logits.
        mapping: The branch's ids for those of the first vocabulary, [V'] with V' at most V, and
            `NONE` where it has no such token; None where the two are the same.
    """

    def __init__(self, num_tokens: int, mapping: Tensor | None = None):
        self.num_tokens = num_tokens
        self.mapping = mapping

    def ids(self, token: Tensor) -> Tensor:
        """Ids of the branch's own vocabulary; what it does not have (padding at most) becomes 0."""
        if self.mapping is None:
            return token
        mapping = self.mapping.to(token.device)
        is_known = token < len(mapping)
        return torch.where(is_known, mapping[token.clamp(max=len(mapping) - 1)], NONE).clamp(min=0)

    def is_there(self, width: int) -> Tensor | None:
        """Which tokens of the first vocabulary the branch has, [V]; None if all."""
        if self.mapping is None:
            there = torch.arange(self.num_tokens) < width
        else:
            beyond = self.num_tokens - len(self.mapping)
            padded = torch.nn.functional.pad(self.mapping.cpu(), (0, beyond), value=NONE)
            there = (padded != NONE) & (padded < width)
        return None if bool(there.all()) else there

    def logits(self, logit: Tensor) -> Tensor:
        """Logits [..., W] of the branch as [..., V]; arbitrary for tokens it does not have."""
        if self.mapping is not None:
            logit = logit[..., self.mapping.to(logit.device).clamp(0, logit.shape[-1] - 1)]
        beyond = self.num_tokens - logit.shape[-1]
        if beyond <= 0:
            return logit[..., : self.num_tokens]
        return torch.nn.functional.pad(logit, (0, beyond))
