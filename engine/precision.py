"""What `bf16-true` and `16-true` mean here: weights in half precision, and nothing else."""

from collections.abc import Generator
from contextlib import contextmanager

import lightning as L
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn
from typing_extensions import override

HALVES = (torch.bfloat16, torch.float16)


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
    """Cast a module's parameters; buffers that are kept in single precision stay so.

    Parameters with a true attribute `keeps_dtype`, such as adapters, stay as they are, too.

    Args:
        module: Changed in place.
        dtype: Of floating-point parameters.
    """
    before = [
        (owner, name, buffer)
        for owner in module.modules()
        for name, buffer in owner.named_buffers(recurse=False)
    ]
    kept = [(p, p.data) for p in module.parameters() if getattr(p, "keeps_dtype", False)]
    module.to(dtype)
    for parameter, value in kept:
        parameter.data = value.to(parameter.device)
    for owner, name, buffer in before:
        now = getattr(owner, name)
        if now.dtype in HALVES and buffer.dtype not in HALVES:
            setattr(owner, name, buffer.to(now.device))
    return module


def keep_buffers(trainer: L.Trainer) -> None:
    """Put `HalfWeights` in the place of Lightning's own plugin, where a trainer has it."""
    plugin = trainer.strategy.precision_plugin
    if type(plugin) is HalfPrecision:
        trainer.strategy.precision_plugin = HalfWeights(plugin.precision)
