"""Rotary frequencies that keep their precision. B = rows, L = length, K = head size."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override


class ExactRotary(nn.Module):
    """A rotary embedding whose frequencies stay in single precision.

    A network that is cast to half precision casts its buffers too, and a frequency rounded to
    bfloat16 turns position 1000 by up to two radians too far.

    Args:
        rotary: Gives cosines and sines of positions, as in transformers.
    """

    def __init__(self, rotary: nn.Module):
        super().__init__()
        self.inner = rotary

    @override
    def forward(self, like: Tensor, position_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [B, L, K], in the type of `like`."""
        cos_BLK, sin_BLK = self.inner(like, position_BL)
        return cos_BLK, sin_BLK

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before = {name: buffer for name, buffer in self.inner.named_buffers() if buffer is not None}
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            moved = self.inner.get_buffer(name)
            if moved.dtype in (torch.bfloat16, torch.float16) and moved.dtype != buffer.dtype:
                setattr(self.inner, name, buffer.to(moved.device))
        return self
