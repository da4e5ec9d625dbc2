"""Weights that are sharded over ranks."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn


def is_sharded(module: nn.Module) -> bool:
    """Whether ranks hold parts of the parameters, so that all must take every step."""
    marks = ("device_mesh", "ds_tensor")  # FSDP2, DeepSpeed's ZeRO-3
    return any(hasattr(p, mark) for p in module.parameters() for mark in marks)


def full(value: Tensor) -> Tensor:
    """A sharded scalar gathered to a plain one; plain ones pass through."""
    gather = getattr(value, "full_tensor", None)
    return gather() if gather is not None else value


def by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters that torch can work on together: whole ones, and those sharded over each mesh."""
    groups: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter, "device_mesh", None), []).append(parameter)
    return list(groups.values())
