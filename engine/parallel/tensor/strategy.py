"""Tensor parallelism, alone or within sharded data parallelism."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from typing_extensions import override

from engine.parallel.gradients import one_by_one
from engine.parallel.mesh import Size, split
from engine.parallel.same_rows import SameRows
from engine.parallel.tensor.plan import divide


class TensorParallel(SameRows):
    """Divides the layers of a Llama-like trunk over ranks that work on the same rows.

    Where there are more ranks, groups of them read rows of their own, and FSDP2 shards the weights
    of each rank over the ranks at its place in the other groups.

    Args:
        tensor_parallel_size: Ranks that a layer is divided over; those of one machine where `auto`.
        blocks: As of FSDP2.
        save_sharded: As of FSDP2.
        save_async: As of FSDP2.
        backend: As of FSDP2.
    """

    def __init__(
        self,
        tensor_parallel_size: Size = "auto",
        blocks: list[str] | None = None,
        save_sharded: bool = False,
        save_async: bool = False,
        backend: str | None = None,
    ):
        super().__init__(blocks, save_sharded, save_async, backend)
        self.size = tensor_parallel_size

    @override
    def axes(self, num_ranks: int, per_machine: int) -> dict[str, int]:
        axes = ("tensor_parallel_size", "data_parallel", "tensor_parallel")
        return split(num_ranks, per_machine, self.size, *axes)

    @property
    @override
    def shard_mesh(self) -> DeviceMesh | None:
        return self.row_mesh if self.row_mesh.size() > 1 else None

    @override
    def divide(self, network: nn.Module) -> None:
        divide(network, self.device_mesh["tensor_parallel"])

    @override
    def optimizer_step(
        self,
        optimizer: torch.optim.Optimizer,
        closure: Callable[[], Any],
        model: Any = None,
        **options: Any,
    ) -> Any:
        with one_by_one(optimizer):
            return super().optimizer_step(optimizer, closure, model, **options)
