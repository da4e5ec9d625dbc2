"""From a checkpoint to weights in memory, without a training run around them."""

from typing import Literal

import lightning as L
import torch

from engine.checkpoint import SafeCheckpointIO
from engine.precision import cast

Dtype = Literal["float32", "bfloat16", "float16"]
"""What the weights of an exported model can be stored in."""


def load_for_export(model: L.LightningModule, ckpt_path: str | None, ema: bool) -> str:
    """Build the network and load a checkpoint into it.

    Args:
        model: The system, whose network need not be built yet.
        ckpt_path: The checkpoint; None leaves the weights the network starts from.
        ema: Whether averaged weights replace the trained ones where there are any.

    Returns:
        What was loaded, in words.
    """
    model.configure_model()
    if ckpt_path is None:
        return "the untrained weights"
    checkpoint = SafeCheckpointIO().load_checkpoint(ckpt_path)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    average = checkpoint.get("ema")
    if not (ema and average):
        return ckpt_path
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in average["weights"].items():
            parameters[name].copy_(value)
    return f"the averaged weights of {ckpt_path}"


def store_as(model: L.LightningModule, dtype: Dtype) -> None:
    """Turn all floating-point weights of a model into another dtype.

    Args:
        model: The system; changed in place.
        dtype: What to store them in.

    Raises:
        ValueError: A finite weight is too large for the dtype; names it and its value.
    """
    wanted: torch.dtype = getattr(torch, dtype)
    for name, parameter in model.named_parameters():
        greatest = parameter.detach().abs().max()
        if greatest.isfinite() and not greatest.to(wanted).isfinite():
            raise ValueError(f"{name} holds {greatest:.3g}, which {dtype} cannot; take bfloat16")
    cast(model, wanted)
