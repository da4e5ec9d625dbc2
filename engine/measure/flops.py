"""Counts floating-point operations as they are executed."""

import sys
from types import FrameType
from typing import Any

import torch
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Adds up the operations of matrix products, convolutions and attention inside a `with`.

    Unlike torch's own counter it takes no operator apart, so that a counted step computes bit for
    bit what an uncounted one does. A product of n x k and k x m counts 2 n k m.

    Attributes:
        total: All of them.
        recomputed: Those of activations that are computed again in a backward pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.recomputed = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            num = int(formula(*args, **kwargs, out_val=out))
            self.total += num
            self.recomputed += num if is_recomputing() else 0
        return out


def is_recomputing() -> bool:
    """Whether a backward pass has asked a checkpoint for activations, which it computes again."""
    if torch._C._current_graph_task_id() == -1:
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != checkpoint.__file__:
        frame = frame.f_back
    return frame is not None
