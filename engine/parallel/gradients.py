"""Gradients of which some are sharded, over one mesh or several, and some are whole."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def by_mesh(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Tensors that torch can work on together: whole ones, and those sharded over each mesh."""
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(getattr(tensor, "device_mesh", None), []).append(tensor)
    return list(groups.values())


def total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """Norm of all gradients as one vector, the same on every rank; every rank must call."""
    norms = [full(nn.utils.get_total_norm(group)) for group in by_mesh(gradients)]
    return norms[0] if len(norms) == 1 else nn.utils.get_total_norm(norms)  # 0 without gradients


def full(value: Tensor) -> Tensor:
    """A sharded scalar gathered to a plain one; plain ones pass through."""
    gather = getattr(value, "full_tensor", None)
    return gather() if gather is not None else value


@contextmanager
def one_by_one(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Within it, groups of parameters of several meshes are stepped one parameter at a time.

    torch steps all parameters of a group in one call where it can (`foreach`, the default on
    GPUs), which refuses sharded tensors beside whole ones.
    """
    mixed = [group for group in optimizer.param_groups if len(by_mesh(group["params"])) > 1]
    before = [{name: group[name] for name in FUSED if name in group} for group in mixed]
    for group, options in zip(mixed, before, strict=True):
        group.update(dict.fromkeys(options, False))
    try:
        yield
    finally:
        for group, options in zip(mixed, before, strict=True):
            group.update(options)


FUSED = ("foreach", "fused")
"""Options of optimizers that step a whole group in one call."""
