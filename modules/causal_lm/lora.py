"""Low-rank adapters through peft."""

from dataclasses import dataclass, field
from typing import Any, cast

from torch import nn


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al., 2021); everything else is frozen.

    Attributes:
        rank: r of the update B A.
        alpha: The update is scaled by alpha / r.
        dropout: Probability of dropping an input of A.
        targets: Ends of the names of the linear layers that get an adapter.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])


def adapt(model: nn.Module, lora: Lora) -> nn.Module:
    """Freeze a model and add low-rank adapters through peft."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(cast(Any, model), config)
