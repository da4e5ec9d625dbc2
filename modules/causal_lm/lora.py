"""Low-rank adapters through peft."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

ATTENTION = ("attn", "attention")
"""What the modules that hold the projections of attention are called, in part."""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al., 2021); everything else is frozen.

    Adapters are kept and trained in single precision, also beside weights in bfloat16, where a
    small learning rate would move nothing.

    Attributes:
        rank: r of the update B A.
        alpha: The update is scaled by alpha / r.
        dropout: Probability of dropping an input of A.
        targets: Ends of the names of the layers that get an adapter. Where None, the projections
            of attention under whatever names the model has for them, or else all linear layers but
            the output layer.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] | None = None


def adapt(model: nn.Module, lora: Lora, new_ids: Sequence[int] = ()) -> nn.Module:
    """Freeze a model and add low-rank adapters through peft.

    Args:
        model: A `transformers` model.
        lora: The adapters.
        new_ids: Tokens whose rows in embedding and output layer are trained as they are.

    Raises:
        ValueError: A target is the end of no layer's name; lists what there is.
    """
    from peft import LoraConfig, get_peft_model

    targets = chosen_targets(model, lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=targets,
        trainable_token_indices={name: list(new_ids) for name in token_layers(model)}
        if new_ids
        else None,
        task_type="CAUSAL_LM",
    )
    with no_advice():
        adapted = get_peft_model(cast(Any, model), config)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        parameter.data = parameter.data.float()
    adapted.keeps_dtype = list(trained)  # when weights are cast
    return adapted


def has_adapters(model: nn.Module) -> bool:
    """Whether a model trains adapters of peft, which can be switched off."""
    return hasattr(model, "disable_adapter")


def chosen_targets(model: nn.Module, targets: list[str] | None) -> list[str]:
    """Ends of names of the layers to adapt.

    Raises:
        ValueError: There is no such layer.
    """
    layers = adaptable(model)
    if targets is None:
        return default_targets(model, layers)
    missing = [one for one in targets if not any(is_end(one, name) for name in layers)]
    if missing:
        there = sorted({name.rsplit(".", 1)[-1] for name in layers})
        raise ValueError(
            f"lora.targets: no layer of {type(model).__name__} is called "
            f"{' or '.join(missing)}; there are {', '.join(there)}"
        )
    return targets


def default_targets(model: nn.Module, layers: dict[str, nn.Module]) -> list[str]:
    """The projections of attention, or else all linear layers but the output layer."""
    head = cast(Any, model).get_output_embeddings()
    linear = [
        name
        for name, layer in layers.items()
        if layer is not head and not isinstance(layer, nn.Embedding)
    ]
    parents = {name: name.split(".")[-2:-1] for name in linear}
    inside = [n for n in linear if any(a in part for part in parents[n] for a in ATTENTION)]
    return sorted({".".join(name.split(".")[-2:]) for name in inside or linear})


def adaptable(model: nn.Module) -> dict[str, nn.Module]:
    """Layers that peft can adapt, by name."""
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, nn.Embedding, Conv1D)
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds)}


def is_end(end: str, name: str) -> bool:
    """Whether a name ends in whole parts, as peft reads targets."""
    return name == end or name.endswith(f".{end}")


# New tokens


@torch.no_grad()
def add_rows(model: Any, num_rows: int) -> list[int]:
    """Let embedding and output layer have rows for ids beyond their end.

    A new row begins as the mean of the others, so that it is the same at every start.

    Args:
        model: A `transformers` model.
        num_rows: How many rows there are to be; fewer than there are change nothing.

    Returns:
        The new ids.
    """
    before = model.get_input_embeddings().weight.shape[0]
    if num_rows <= before:
        return []
    model.resize_token_embeddings(num_rows, mean_resizing=False)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None:
            mean = layer.weight[:before].mean(0, dtype=torch.float32)
            layer.weight[before:] = mean.to(layer.weight.dtype)
    return list(range(before, num_rows))


def token_layers(model: Any) -> list[str]:
    """Names of the embedding and, where it has weights of its own, of the output layer."""
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    layers = [first] if last is None or last.weight is first.weight else [first, last]
    return [name for name, one in model.named_modules() if any(one is layer for layer in layers)]


@contextmanager
def no_advice() -> Iterator[None]:
    """Silence peft about tied weights and transposed layers, of which care is taken here."""
    with warnings.catch_warnings():
        for message in ("Model (with|has) `tie_word", "Input and output emb", "fan_in_fan_out is"):
            warnings.filterwarnings("ignore", message=message)
        yield
