"""The balance of experts that a mixture of them adds to its loss (Fedus et al., 2021, eq. 4 to 6).

It is the architecture's own function of its own router logits, over the tokens of documents that
are trained on; padding does not count.

Shape legend: B = rows, L = row length, N = documents, E = experts.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE

FUNCTION = "load_balancing_loss_func"
"""What transformers calls it, in the file of each architecture that has it."""
SWITCH = "output_router_logits"
"""Option of an architecture: whether the balance is added at all."""
WEIGHTS = ("router_aux_loss_coef", "aux_loss_coef")
"""Options of architectures that say how much it weighs."""
NUMBERS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Options of architectures that say how many experts there are."""


def balance_weight(config: Any) -> float:
    """How much the balance weighs in the loss; 0 where the options leave it out."""
    if not getattr(config, SWITCH, False):
        return 0.0
    return float(next((getattr(config, n) for n in WEIGHTS if hasattr(config, n)), 0.0) or 0.0)


@contextmanager
def unbalanced(config: Any) -> Iterator[None]:
    """Leave the balance out while generating; transformers fits it to whole prompts only."""
    is_on = getattr(config, SWITCH, None)
    if is_on:
        setattr(config, SWITCH, False)
    try:
        yield
    finally:
        if is_on:
            setattr(config, SWITCH, is_on)


def check_router_options(model_type: str, options: dict[str, Any], config: Any) -> None:
    """Refuse a weight of the balance that nothing would read; warn of experts without a balance.

    Args:
        model_type: Of a model from scratch.
        options: What the user asked for.
        config: With everything else at its defaults.

    Raises:
        ValueError: Says which switch to set.
    """
    known = [name for name in WEIGHTS if hasattr(config, name)]
    if not known or getattr(config, SWITCH, False):
        return
    if options.get(known[0]):
        raise ValueError(
            f"{model_type} reads {known[0]} only where {SWITCH} is true: set options.{SWITCH} to "
            f"true to add the balance of experts to the loss, or leave {known[0]} out"
        )
    if any((getattr(config, name, 0) or 0) > 1 for name in NUMBERS):
        warnings.warn(
            f"the experts of {model_type} are trained from scratch without a balance and may "
            f"collapse into few; options.{SWITCH}: true adds it to the loss",
            stacklevel=2,
        )


def balance(model: Any, router_logits: Any, label_BL: Tensor, length_N: Sequence[int]) -> Tensor:
    """How unevenly tokens are routed, 1 per chosen expert where they are spread evenly.

    Args:
        model: A `transformers` mixture of experts.
        router_logits: What it gives of that name: [B * L, E] of each layer.
        label_BL: Next tokens, or `IGNORE`.
        length_N: Lengths of the documents in order.

    Raises:
        ValueError: The architecture has no such function.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    modules = (sys.modules.get(one.__module__) for one in type(inner).__mro__)  # sharded or not
    function = next((getattr(one, FUNCTION) for one in modules if hasattr(one, FUNCTION)), None)
    if function is None:
        name = inner.config.model_type
        raise ValueError(f"{name} has no {FUNCTION}; set options.{SWITCH} to false")
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
