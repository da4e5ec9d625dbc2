"""The parts of a Llama-like language model.

Shape legend: D = width, V = vocabulary.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from modules.nn.rotary import ExactRotary

NEEDED = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")
"""Parts that a Llama block has."""
EXTRA = ("q_norm", "k_norm", "pre_feedforward_layernorm", "sinks")
"""Parts of other architectures' blocks that a Llama block does not have."""
TextType = Literal["bfloat16"] | None
"""Dtype of the weights of a frozen language model; None for that of all others."""


@dataclass(frozen=True)
class TextParts:
    """A Llama-like causal language model: Llama 2 and 3, Mistral, Qwen2.

    Attributes:
        embed: Token embedding, [V, D].
        layers: Decoder layers.
        norm: Final norm.
        head: Output layer, [V, D].
        rotary: Gives cosines and sines of positions.
        num_positions: The model's max_position_embeddings; None if its config has none.
    """

    embed: nn.Embedding
    layers: list[nn.Module]
    norm: nn.Module
    head: nn.Linear
    rotary: nn.Module
    num_positions: int | None = None

    @property
    def width(self) -> int:
        """D."""
        return int(self.embed.embedding_dim)

    @staticmethod
    def of(model: Any) -> "TextParts":
        """The parts of a `transformers` model.

        Raises:
            ValueError: Its blocks are not those of a Llama; the message names the difference.
        """
        body = model.get_decoder()
        check_block(type(model).__name__, getattr(body, "layers", [nn.Module()])[0])
        check_window(body)
        head = model.get_output_embeddings()
        rotary = ExactRotary(body.rotary_emb)
        longest = getattr(body.config, "max_position_embeddings", None)
        return TextParts(body.embed_tokens, list(body.layers), body.norm, head, rotary, longest)


def check_block(name: str, layer: Any) -> None:
    """Refuse blocks that do more or less than a Llama's."""
    missing = [part for part in NEEDED if not hasattr(layer, part)]
    inner = getattr(layer, "self_attn", None)
    extra = [part for part in EXTRA if hasattr(layer, part) or hasattr(inner, part)]
    if missing or extra:
        reason = f"lack {', '.join(missing)}" if missing else f"have {', '.join(extra)}"
        raise ValueError(f"{name} is no Llama-like model: its blocks {reason}")


def check_window(body: Any) -> None:
    """Refuse layers with sliding-window attention."""
    kinds = set(getattr(body.config, "layer_types", None) or ())
    window = getattr(body.config, "sliding_window", None) or 0
    uses = "sliding_attention" in kinds or (not kinds and window > 0)
    if uses and window < getattr(body.config, "max_position_embeddings", 0):
        raise ValueError(f"{type(body).__name__} attends within windows of {window} tokens only")


def weight_dtype(text_dtype: TextType) -> torch.dtype:
    """The torch dtype that a config names, or the default one."""
    return torch.bfloat16 if text_dtype == "bfloat16" else torch.get_default_dtype()
