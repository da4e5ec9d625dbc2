"""How ranks are arranged along axes: a mesh of devices, one communication group for each line."""

from typing import Literal

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


def make_mesh(sizes: dict[str, int], device: torch.device) -> DeviceMesh:
    """The mesh of all ranks; the last axis varies fastest, so it lies within a machine.

    Args:
        sizes: Names and sizes of the axes; they multiply to the number of ranks.
        device: One of this rank.
    """
    return init_device_mesh(device.type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))


Size = int | Literal["auto"]
"""Ranks of an axis; those of one machine where `auto`."""


def split(
    num_ranks: int, per_machine: int, size: Size, option: str, outer: str, inner: str
) -> dict[str, int]:
    """Two axes of which the inner one has a given size.

    Args:
        num_ranks: All ranks.
        per_machine: Ranks of one machine.
        size: Of the inner axis.
        option: Name of the option that gave the size.
        outer: Name of the outer axis.
        inner: Name of the inner one.

    Raises:
        ValueError: The size does not divide the number of ranks.
    """
    size = per_machine if size == "auto" else size
    if size < 1 or num_ranks % size:
        raise ValueError(
            f"{option} is {size}, which does not divide the number of ranks, {num_ranks}"
        )
    return {outer: num_ranks // size, inner: size}
