"""Hooks that do nothing, left out of the training step."""

from collections.abc import Iterable

import lightning as L

EVERY_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""What Lightning calls of every callback in every step."""


def skip_idle_hooks(callbacks: Iterable[L.Callback]) -> None:
    """Let Lightning pass over the hooks that callbacks do not define.

    It opens a profiler's context around each hook of each callback, empty ones included; with the
    callbacks of a usual run those are thirty a step. It passes over hooks that cannot be called.

    Args:
        callbacks: Of a trainer; changed in place.
    """
    for callback in callbacks:
        for hook in EVERY_STEP:
            if getattr(type(callback), hook) is getattr(L.Callback, hook):
                setattr(callback, hook, None)
