"""What `bf16-true` and `16-true` mean here: weights in half precision, and nothing else."""

from collections.abc import Generator
from contextlib import contextmanager

import lightning as L
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import Tensor, nn
from typing_extensions import override


class HalfWeights(HalfPrecision):
    """Weights in half precision; buffers and what a step computes keep their own.

    Lightning's plugin also casts buffers, and makes half precision the default of all tensors
    within a step. Then positions beyond 256, rotary frequencies, relative positions and counts are
    rounded: a Llama turns position 1000 by up to two radians too far while it is trained, and no
    longer once it is exported.
    """

    @override
    def convert_module(self, module: nn.Module) -> nn.Module:
        return cast(module, self._desired_input_dtype)

    @override
    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        yield


def cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast a module's parameters; buffers keep the dtype they were made in.

    So do the parameters that a module names in an attribute `keeps_dtype`, such as adapters.

    Args:
        module: Changed in place.
        dtype: Of floating-point parameters.
    """
    named = [
        owner.get_parameter(name)
        for owner in module.modules()
        for name in getattr(owner, "keeps_dtype", ())
    ]
    kept = {id(tensor) for tensor in (*named, *module.buffers())}

    def to_dtype(tensor: Tensor) -> Tensor:
        is_cast = tensor.is_floating_point() and id(tensor) not in kept
        return tensor.to(dtype) if is_cast else tensor

    module._apply(to_dtype)
    if isinstance(module, L.LightningModule):
        module._dtype = dtype  # what `module.to(dtype)` notes
    return module


def keep_buffers(trainer: L.Trainer) -> None:
    """Put `HalfWeights` in the place of Lightning's own plugin, where a trainer has it."""
    plugin = trainer.strategy.precision_plugin
    if type(plugin) is HalfPrecision:
        trainer.strategy.precision_plugin = HalfWeights(plugin.precision)
