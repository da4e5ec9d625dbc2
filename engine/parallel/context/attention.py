"""Causal attention inside documents of which each rank holds the queries of its part of the rows.

Keys and values are gathered from all ranks (as in Llama 3, Dubey et al., 2024, sec. 3.3.2): they
are few where heads share them, and any packing of documents stays exact.

Shape legend: B = rows, H = query heads, G = key-value heads, K = head size, L = row length,
M = positions of a chunk, N = documents, S = keys that a chunk may see.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.parallel.context.rows import RowPart

Attention = Callable[..., tuple[Tensor, None]]
"""In the calling convention of transformers."""
NAME = "documents"
"""The attention of transformers that is replaced; its layers are told where documents lie."""


class PartialAttention:
    """The attention of a part of the rows, and of whole ones as it was.

    Args:
        inner: The attention of whole rows.
        part: What this rank holds.
    """

    def __init__(self, inner: Attention, part: RowPart):
        self.inner = inner
        self.part = part
        self.masks: tuple[Any, list[Any]] | None = None

    @torch.compiler.disable
    def __call__(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        documents: Any = None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        """Attend from queries [B, H, L / n, K] to the keys of all ranks.

        Returns:
            [B, L / n, H, K], and None instead of the weights.
        """
        length = row_length(documents, query.shape[0]) if documents is not None else None
        if length is None or length == query.shape[2]:
            given = (module, query, key, value, attention_mask, scaling, dropout, documents)
            return self.inner(*given, **options)
        refuse_options(options, documents)
        key, value = self.part.gather(torch.stack((key, value)), dim=3).unbind(0)
        if key.shape[1] != query.shape[1]:
            shared = query.shape[1] // key.shape[1]
            key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
        masks = self.masks_of(documents, query.shape[0], length)
        ends = [(chunk + 1) * self.part.chunk_length(length) for chunk in self.part.chunks]
        out = [
            F.scaled_dot_product_attention(
                q, key[:, :, :end], value[:, :, :end], mask, dropout, scale=scaling
            )
            for q, end, mask in zip(query.chunk(2, dim=2), ends, masks, strict=True)
        ]
        return torch.cat(out, dim=2).transpose(1, 2), None

    def masks_of(self, documents: Any, num_rows: int, length: int) -> list[Any]:
        """The mask of each chunk; made once for all layers of a batch."""
        if self.masks is None or self.masks[0] is not documents:
            size = self.part.chunk_length(length)
            made = [chunk_mask(documents, num_rows, length, c, size) for c in self.part.chunks]
            self.masks = documents, made
        return self.masks[1]


def row_length(documents: Any, num_rows: int) -> int:
    """L, from the documents of whole rows; nothing is read from a device."""
    if documents.inverse_T is not None:
        return int(documents.inverse_T.shape[0]) // num_rows
    return sum(one.num_documents * one.length for one in documents.groups) // num_rows


def chunk_mask(documents: Any, num_rows: int, length: int, chunk: int, size: int) -> Any:
    """Which keys the queries of a chunk see, [B, 1, M, S]: those of their document up to their own.

    Where every row is one document, torch's causal mask, which its flash kernel takes.
    """
    from torch.nn.attention.bias import causal_lower_right

    first, end = chunk * size, (chunk + 1) * size
    bound_N1 = documents.bound_N1
    if documents.inverse_T is None and documents.longest == length:
        return causal_lower_right(size, end)
    position_BL = torch.arange(num_rows * length, device=bound_N1.device).view(num_rows, length)
    document_BL = torch.searchsorted(bound_N1.long(), position_BL, right=True)
    same_BMS = document_BL[:, first:end, None] == document_BL[:, None, :end]
    is_before_MS = position_BL[0, first:end, None] >= position_BL[0, None, :end]
    return (same_BMS & is_before_MS)[:, None]


def refuse_options(options: dict[str, Any], documents: Any) -> None:
    """Refuse what an architecture wants of its attention beside scale and dropout.

    Raises:
        ValueError: A soft cap, sinks, or a window shorter than a document.
    """
    window = options.get("sliding_window")
    for name in ("softcap", "s_aux"):
        if options.get(name) is not None:
            raise ValueError(f"context parallelism has no attention with {name}")
    if window is not None and window < documents.longest:
        raise ValueError(
            f"a document of {documents.longest} tokens is longer than the model's sliding window "
            f"of {window}, which context parallelism does not have; shorten the rows"
        )


def install(part: RowPart) -> None:
    """Replace the attention of transformers that networks here use, for parts of rows only."""
    from transformers import AttentionInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    known = ALL_ATTENTION_FUNCTIONS[NAME]
    inner = known.inner if isinstance(known, PartialAttention) else known
    AttentionInterface.register(NAME, PartialAttention(inner, part))
