"""Attention of the live positions, run by run.

Shape legend: U = live positions (later text, then patches), S = all positions (prefix text, then
the live ones), H = query heads, G = key-value heads, K = head size, R = slots of all groups.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.lmfusion.mask import Group, Plan
from modules.nn.attention import FromSlots, ToSlots


def run_attention(
    query_UHK: Tensor, key_SGK: Tensor, value_SGK: Tensor, plan: Plan, scale: float
) -> Tensor:
    """Softmax attention of each live position over the keys that its run sees.

    Args:
        query_UHK: Queries of the live positions.
        key_SGK: Keys of all positions; G divides H.
        value_SGK: Values of all positions.
        plan: The runs, laid out.
        scale: Factor on the scores.

    Returns:
        [U, H, K], in the dtype of the queries.
    """
    if not plan.groups:
        return query_UHK
    slots_RHK = ToSlots.apply(query_UHK, plan.query_index, plan.inverse)
    parts = slots_RHK.split([group.num_runs * group.num_queries for group in plan.groups])
    pairs = zip(plan.groups, parts, strict=True)
    out = [attend(group, part, key_SGK, value_SGK, scale) for group, part in pairs]
    return FromSlots.apply(torch.cat(out), plan.inverse)


def attend(group: Group, query: Tensor, key_SGK: Tensor, value_SGK: Tensor, scale: float) -> Tensor:
    """One group: its runs are the rows of a batch."""
    q = query.unflatten(0, (group.num_runs, group.num_queries)).transpose(1, 2)
    k, v = (
        x.index_select(0, group.key_index)
        .unflatten(0, (group.num_runs, group.num_keys))
        .transpose(1, 2)
        for x in (key_SGK, value_SGK)
    )
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    out = F.scaled_dot_product_attention(q, k, v, group.mask, scale=scale)
    return out.transpose(1, 2).flatten(0, 1)
