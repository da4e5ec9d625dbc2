"""Weights that are sharded over ranks."""

from torch import Tensor, nn


def is_sharded(module: nn.Module) -> bool:
    """Whether ranks hold parts of the parameters, so that all must take every step."""
    return any(hasattr(p, "device_mesh") for p in module.parameters())


def full(value: Tensor) -> Tensor:
    """A sharded scalar gathered to a plain one; plain ones pass through."""
    gather = getattr(value, "full_tensor", None)
    return gather() if gather is not None else value
