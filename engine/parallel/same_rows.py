"""Strategies under which several ranks work on the same rows."""

from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from typing_extensions import override

from engine.parallel.fsdp2 import FSDP2


class SameRows(FSDP2):
    """Ranks along one axis of the mesh share their rows; those along `data_parallel` do not.

    What systems sum over ranks is summed along `data_parallel` alone: ranks with the same rows hold
    the same losses and counts, which must count once.
    """

    @property
    def row_mesh(self) -> DeviceMesh:
        """Ranks that read rows of their own."""
        return self.device_mesh["data_parallel"]

    @property
    @override
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        return {"num_replicas": self.row_mesh.size(), "rank": self.row_mesh.get_local_rank()}

    @override
    def reduce(
        self, tensor: Any, group: Any | None = None, reduce_op: Any | None = "mean"
    ) -> Tensor:
        return super().reduce(tensor, group or self.row_mesh.get_group(), reduce_op)

    @override
    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """What all ranks, or any, say; of all, since each may have a fault of its own."""
        given = self.reduce(self.as_number(decision), dist.group.WORLD, "sum")
        return bool(given == self.world_size) if all else bool(given)

    def as_number(self, decision: bool) -> Tensor:
        """A decision on this rank's device."""
        return Tensor([float(decision)]).to(self.root_device)
