"""Models whose frozen weights are held in few bits beneath adapters (QLoRA; Dettmers et al., 2023).

Linear layers of the blocks are; embedding, output layer, norms and biases stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from engine.disk.weightless import is_weightless
from modules.nn.quantized_linear import Bits, QuantizedLinear
from modules.weights.origin import set_source, source_of

LEAST_SHARE = 0.9
"""Share of the weights of matrices that linear layers must hold, or little would be saved."""


def check_quantize(quantize: Bits | None, lora: object | None) -> None:
    """Refuse to train quantised weights.

    Raises:
        ValueError: There are no adapters.
    """
    if quantize is not None and lora is None:
        raise ValueError(
            f"quantize: {quantize} needs lora: rounded weights cannot be trained, adapters on top "
            "of them can"
        )


def quantize_frozen(model: Any, bits: Bits, dtype: torch.dtype) -> None:
    """Hold the frozen linear layers of a model with adapters in few bits, one after another.

    Args:
        model: Of `transformers`, with adapters; in the precision of its source, so that the same
            source gives the same codes in every precision of a run. Changed in place.
        bits: How weights are held.
        dtype: Of the frozen weights that are not, from now on.

    Raises:
        ValueError: Most weights of the architecture are not in linear layers.
    """
    kept = ids_of_tokens(model)
    refuse_other_layers(model, kept)
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if is_held(layer, kept):
                setattr(parent, name, held(layer, bits, dtype))
    cast_rest(model, dtype)


@contextmanager
def reading(quantize: Bits | None) -> Iterator[torch.dtype | Literal["auto"]]:
    """Where a model is read, and the dtype to read it in.

    One whose weights will be held in few bits is read as the source has it and not onto an
    accelerator, which need never hold it whole.
    """
    if quantize is None:
        yield torch.get_default_dtype()
        return
    with torch.device("meta" if is_weightless() else "cpu"):
        yield "auto"


def held(layer: nn.Linear, bits: Bits, dtype: torch.dtype) -> QuantizedLinear:
    """A layer in few bits, which knows the source of its weight."""
    small = QuantizedLinear(layer, bits, dtype)
    source = source_of(layer.get_parameter("weight"))
    if source is not None:
        set_source(source, (small.get_parameter(name) for name in small.keeps_dtype))
    return small


def ids_of_tokens(model: Any) -> set[int]:
    """Which parameters are those of the embedding and the output layer."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return {id(p) for layer in layers if layer is not None for p in layer.parameters()}


def is_held(layer: nn.Module, kept: set[int]) -> bool:
    """Whether a layer is a frozen linear one, and not that of the tokens."""
    return (
        type(layer) is nn.Linear and not layer.weight.requires_grad and id(layer.weight) not in kept
    )


def refuse_other_layers(model: Any, kept: set[int]) -> None:
    """Refuse an architecture of which most weights would stay as they are.

    Raises:
        ValueError: Names the greatest of those weights.
    """
    linear = {id(m.weight) for m in model.modules() if is_held(m, kept)}
    frozen = {n: p for n, p in model.named_parameters() if not p.requires_grad and p.ndim > 1}
    inside = {name: p.numel() for name, p in frozen.items() if id(p) not in kept}
    others = {name: size for name, size in inside.items() if id(frozen[name]) not in linear}
    share = 1 - sum(others.values()) / max(1, sum(inside.values()))
    if share >= LEAST_SHARE:
        return
    name = max(others, key=lambda one: others[one])
    raise ValueError(
        f"quantize: only {share:.0%} of the weights of {model.config.model_type} are in plain "
        f"linear layers, which can be held in few bits; {name} and others are not; leave quantize "
        "out"
    )


@torch.no_grad()
def cast_rest(model: nn.Module, dtype: torch.dtype) -> None:
    """Turn frozen weights that are not held in few bits into the dtype of the run."""
    stay = {
        id(layer.get_parameter(name))
        for layer in model.modules()
        if isinstance(layer, QuantizedLinear)
        for name in layer.keeps_dtype
    }
    for parameter in model.parameters():
        if parameter.requires_grad or id(parameter) in stay:
            continue
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def dequantize(model: nn.Module) -> None:
    """Turn layers in few bits into plain ones again, with the weights that they computed with."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, QuantizedLinear):
                setattr(parent, name, layer.whole())
