"""Causal attention inside the documents of packed rows, without a mask of L x L.

Rows hold several documents one after another. Queries see the keys of their own document, up to
their own position. Documents of like length are laid side by side, so that a batch takes a few
calls of the fused kernel; rows that are one document each are not copied at all.

Shape legend: B = rows, L = row length, T = B * L, H = query heads, G = key-value heads,
K = head size, N = documents of a group, M = longest document of a group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Documents of like length.

    Attributes:
        num_documents: N.
        length: M, the longest of them.
        index_P: Flat position (0 .. T-1) of each of the N * M slots, or None where the batch is
            this one group in its own order. A slot after its document's end points at position 0.
    """

    num_documents: int
    length: int
    index_P: Tensor | None


@dataclass(frozen=True)
class Documents:
    """Where the documents of a batch lie.

    Attributes:
        groups: Documents by length.
        inverse_T: Slot of each flat position in the concatenation of all groups; None as above.
        longest: Length of the longest document.
        bound_N1: Flat position at which each document starts, and T; int32, on the device.
    """

    groups: tuple[Group, ...]
    inverse_T: Tensor | None
    longest: int
    bound_N1: Tensor

    @staticmethod
    def of(length_N: Sequence[int], device: torch.device) -> "Documents":
        """Group documents by length: one group for each power of two.

        Args:
            length_N: Lengths of the documents in order; they fill the flattened rows.
            device: Where the indices are needed.
        """
        length = torch.tensor(length_N, dtype=torch.int64)
        bound = torch.cat([length.new_zeros(1), length.cumsum(0)])
        on_device = bound.to(device, torch.int32, non_blocking=True)
        longest = int(length.max())
        if int(length.min()) == longest:
            return Documents((Group(len(length_N), longest, None),), None, longest, on_device)

        groups, inverse, num_slots = [], torch.empty(int(bound[-1]), dtype=torch.int64), 0
        bucket = torch.ceil(torch.log2(length.double())).clamp(min=4)
        for one in bucket.unique().tolist():
            member = (bucket == one).nonzero().squeeze(1)
            slot = torch.arange(int(length[member].max()))
            position = bound[member, None] + slot
            is_real = slot < length[member, None]
            target = torch.arange(position.numel()).view_as(position) + num_slots
            inverse[position[is_real]] = target[is_real]
            index = position.where(is_real, 0).flatten().to(device, non_blocking=True)
            groups.append(Group(len(member), len(slot), index))
            num_slots += index.numel()
        return Documents(tuple(groups), inverse.to(device), longest, on_device)


class ToSlots(torch.autograd.Function):
    """Lay positions into slots. Padding slots are never read, so no gradient comes from them."""

    @staticmethod
    def forward(ctx: Any, x_T: Tensor, index: Tensor, inverse_T: Tensor) -> Tensor:
        """Rows of `x_T` in the order of the slots."""
        ctx.save_for_backward(inverse_T)
        return x_T.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """A gather as well, where autograd's own would add with conflicts."""
        (inverse_T,) = ctx.saved_tensors
        return gradients[0].index_select(0, inverse_T), None, None


class FromSlots(torch.autograd.Function):
    """Take positions back from their slots; each slot is read at most once."""

    @staticmethod
    def forward(ctx: Any, slots: Tensor, inverse_T: Tensor) -> Tensor:
        """Rows of `slots` in the order of the positions."""
        ctx.save_for_backward(inverse_T)
        ctx.num_slots = slots.shape[0]
        return slots.index_select(0, inverse_T)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """A copy into zeros; padding slots stay zero."""
        (inverse_T,) = ctx.saved_tensors
        (gradient,) = gradients
        zeros = gradient.new_zeros(ctx.num_slots, *gradient.shape[1:])
        return zeros.index_copy_(0, inverse_T, gradient), None


def document_attention(
    query_THK: Tensor,
    key_TGK: Tensor,
    value_TGK: Tensor,
    documents: Documents,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Causal softmax attention inside each document.

    Args:
        query_THK: Queries of the flattened rows.
        key_TGK: Keys; G divides H.
        value_TGK: Values.
        documents: Where the documents lie.
        scale: Factor on the scores; 1 / sqrt(K) where None.
        dropout: Probability of dropping an attention weight.

    Returns:
        [T, H, K], in the dtype of the queries.
    """
    if fits_varlen(query_THK, dropout):
        return varlen(query_THK, key_TGK, value_TGK, documents, scale)

    def attend(group: Group, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        shape = (group.num_documents, group.length)
        q, k, v = (x.unflatten(0, shape).transpose(1, 2) for x in (q, k, v))
        if k.shape[1] != q.shape[1]:
            k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, None, dropout, is_causal=True, scale=scale)
        return out.transpose(1, 2).flatten(0, 1)

    if documents.inverse_T is None:
        return attend(documents.groups[0], query_THK, key_TGK, value_TGK)
    index = torch.cat([g.index_P for g in documents.groups if g.index_P is not None])
    sizes = [g.num_documents * g.length for g in documents.groups]
    parts = (
        ToSlots.apply(x, index, documents.inverse_T).split(sizes)
        for x in (query_THK, key_TGK, value_TGK)
    )
    out = [attend(*group) for group in zip(documents.groups, *parts, strict=True)]
    return FromSlots.apply(torch.cat(out), documents.inverse_T)


def fits_varlen(query_THK: Tensor, dropout: float) -> bool:
    """Whether the variable-length flash kernel of torch takes these tensors."""
    half = query_THK.dtype in (torch.float16, torch.bfloat16)
    return query_THK.is_cuda and half and dropout == 0.0


def varlen(q: Tensor, k: Tensor, v: Tensor, documents: Documents, scale: float | None) -> Tensor:
    """One call of torch's variable-length flash attention for all documents."""
    from torch.nn.attention.varlen import varlen_attn

    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    bound, longest = documents.bound_N1, documents.longest
    ends = (bound, bound, longest, longest)
    out = varlen_attn(q, k, v, *ends, scale=scale, window_size=(-1, 0))
    return out if isinstance(out, Tensor) else out[0]
