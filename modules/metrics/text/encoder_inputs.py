"""Texts as inputs of models that judge them: cut to what a model holds, counted, in batches."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Row = dict[str, list[int]]
"""Token ids and masks of one text or pair, under the tokenizer's names."""
MASK = "special_tokens_mask"
"""Key of a row: 1 where a token is not of the text but put around it."""


def longest_input(tokenizer: Any, model: nn.Module) -> int:
    """Tokens that tokenizer and model can hold, special ones included."""
    limits = [int(tokenizer.model_max_length)]
    positions = getattr(model.config, "max_position_embeddings", None)
    if isinstance(positions, int):
        limits.append(positions)
    for name, part in model.named_modules():
        if isinstance(part, nn.Embedding) and name.endswith("position_embeddings"):
            # RoBERTa counts positions from the one after its padding
            unused = 0 if part.padding_idx is None else part.padding_idx + 1
            limits.append(part.num_embeddings - unused)
    return min(limits)


def tokenised(
    tokenizer: Any, texts: Sequence[str], limit: int, seconds: Sequence[str] | None = None
) -> tuple[list[Row], int]:
    """Tokens of texts or pairs, special ones included, not padded.

    Args:
        tokenizer: A Hugging Face tokenizer.
        texts: One or more texts.
        limit: Tokens of a row; of a pair, the end of whichever is longer is cut first.
        seconds: The second text of each pair.

    Returns:
        The rows, and how many of them had to be cut.
    """
    rows = _rows(tokenizer, texts, seconds)
    long = [i for i, row in enumerate(rows) if len(row["input_ids"]) > limit]
    if long:
        again = [None if part is None else [part[i] for i in long] for part in (texts, seconds)]
        cut = _rows(tokenizer, *again, truncation="longest_first", max_length=limit)
        for i, row in zip(long, cut, strict=True):
            rows[i] = row
    return rows, len(long)


def batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of like lengths, longest first, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def padded(tokenizer: Any, rows: Sequence[Row], device: torch.device) -> tuple[Any, Tensor]:
    """Inputs of a model, padded to the longest row, and True where a token is of the text."""
    inputs = tokenizer.pad(list(rows), return_tensors="pt").to(device)
    return inputs, inputs.pop(MASK) == 0


def best_device(device: str | None) -> torch.device:
    """The device as named; where None, CUDA if there is one."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _rows(tokenizer: Any, *texts: Sequence[str] | None, **options: Any) -> list[Row]:
    parts = [None if part is None else list(part) for part in texts]
    found = tokenizer(*parts, return_special_tokens_mask=True, verbose=False, **options)
    return [{name: found[name][i] for name in found} for i in range(len(found["input_ids"]))]
