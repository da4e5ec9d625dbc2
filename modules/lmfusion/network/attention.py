"""Attention of the live positions, run by run.

Shape legend: U = live positions (later text, then patches), S = all positions (prefix text, then
the live ones), H = query heads, G = key-value heads, C = query heads of a key-value head,
K = head size, R = slots of all groups, T = slots of one group.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.lmfusion.network.mask import Group, Plan
from modules.nn.document_attention import FromSlots, ToSlots


def run_attention(
    query_UHK: Tensor, key_SGK: Tensor, value_SGK: Tensor, plan: Plan, scale: float
) -> Tensor:
    """Softmax attention of each live position over the keys that its run sees.

    Args:
        query_UHK: Queries of the live positions.
        key_SGK: Keys of all positions; G divides H.
        value_SGK: Values of all positions.
        plan: The layout of the runs.
        scale: Factor on the scores.

    Returns:
        [U, H, K], in the dtype of the queries.
    """
    if not plan.groups:
        return query_UHK
    sizes = [group.num_runs * group.num_queries for group in plan.groups]
    query_UGCK = query_UHK.unflatten(1, (key_SGK.shape[1], -1))
    slots_RGCK = ToSlots.apply(query_UGCK, plan.query_index, plan.inverse)
    parts = slots_RGCK.transpose(0, 1).contiguous().split(sizes, dim=1)
    pairs = zip(plan.groups, parts, strict=True)
    out = [attend(group, part, key_SGK, value_SGK, scale) for group, part in pairs]
    return FromSlots.apply(torch.cat(out, dim=1).transpose(0, 1), plan.inverse).flatten(1, 2)


def attend(
    group: Group, query_GTCK: Tensor, key_SGK: Tensor, value_SGK: Tensor, scale: float
) -> Tensor:
    """Attention of one group, [G, T, C, K]; its runs are the rows of a batch.

    Query heads that share a key head become further queries of that head, so that keys and values
    are not copied. `enable_gqa` would do the same, but CUDA's memory-efficient kernel, the one for
    masks and for float32, does not support it (torch's sdp_utils.cpp): the scores would be
    materialised.
    """
    q = query_GTCK.unflatten(1, (group.num_runs, group.num_queries)).flatten(2, 3).transpose(0, 1)
    k, v = (
        x.index_select(0, group.key_index)
        .unflatten(0, (group.num_runs, group.num_keys))
        .transpose(1, 2)
        for x in (key_SGK, value_SGK)
    )
    mask, shared = group.mask, query_GTCK.shape[2]
    if mask is not None and mask.shape[2] > 1:
        mask = mask.repeat_interleave(shared, dim=2)
    out = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    return out.transpose(0, 1).unflatten(2, (-1, shared)).flatten(1, 2)
