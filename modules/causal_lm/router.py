"""The balance of experts that a mixture of them adds to its loss (Fedus et al., 2021, eq. 4 to 6).

It is the architecture's own function of its own router logits, over the tokens of documents that
are trained on; padding does not count.

Shape legend: B = rows, L = row length, N = documents, E = experts.
"""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE

FUNCTION = "load_balancing_loss_func"
"""What transformers calls it, in the file of each architecture that has it."""
WEIGHT, SWITCH = "router_aux_loss_coef", "output_router_logits"
"""Options of an architecture: how much it weighs, and whether it is added at all."""


def balance_weight(config: Any) -> float:
    """How much the balance weighs in the loss; 0 where the options leave it out."""
    return float(getattr(config, WEIGHT, 0) or 0) if getattr(config, SWITCH, False) else 0.0


def check_router_options(model_type: str, options: dict[str, Any], config: Any) -> None:
    """Refuse a weight of the balance that nothing would read.

    Raises:
        ValueError: Says which switch to set.
    """
    if options.get(WEIGHT) and not getattr(config, SWITCH, False):
        raise ValueError(
            f"{model_type} reads {WEIGHT} only where {SWITCH} is true: set options.{SWITCH} to "
            f"true to add the balance of experts to the loss, or leave {WEIGHT} out"
        )


def balance(model: Any, router_logits: Any, label_BL: Tensor, length_N: Sequence[int]) -> Tensor:
    """How unevenly tokens are routed, 1 per chosen expert where they are spread evenly.

    Args:
        model: A `transformers` mixture of experts.
        router_logits: What it gives of that name: [B * L, E] of each layer.
        label_BL: Next tokens, or `IGNORE`.
        length_N: Lengths of the documents in order.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    function = getattr(sys.modules[type(inner).__module__], FUNCTION)
    counted_BL = trained_tokens(label_BL, length_N)
    return function(router_logits, inner.num_experts, inner.num_experts_per_tok, counted_BL)


def trained_tokens(label_BL: Tensor, length_N: Sequence[int]) -> Tensor:
    """1 for tokens of documents that hold a label, int64 [B, L]; 1 for all where none does."""
    is_target_T = (label_BL != IGNORE).flatten()
    length = torch.tensor(length_N, dtype=torch.int64)
    number_T = torch.arange(len(length_N)).repeat_interleave(length).to(label_BL.device)
    targets_N = torch.zeros(len(length_N), dtype=torch.int64, device=label_BL.device)
    targets_N = targets_N.index_add(0, number_T, is_target_T.long())
    counted_T = (targets_N > 0)[number_T]
    return (counted_T | ~counted_T.any()).long().view_as(label_BL)
