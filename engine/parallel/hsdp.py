"""Hybrid sharding: copies of the model, each sharded over a few ranks."""

from typing_extensions import override

from engine.parallel.fsdp2 import FSDP2
from engine.parallel.mesh import Size, split


class HSDP(FSDP2):
    """FSDP2 over groups of ranks; each group holds the whole model, and gradients are averaged.

    Weights are gathered within a group, which is best a machine with its fast links; between groups
    only gradients travel, each rank its shard.

    Args:
        num_shards: Ranks that hold one copy together; those of one machine where `auto`.
        blocks: As of FSDP2.
        save_sharded: As of FSDP2.
        save_async: As of FSDP2.
        backend: As of FSDP2.
    """

    def __init__(
        self,
        num_shards: Size = "auto",
        blocks: list[str] | None = None,
        save_sharded: bool = False,
        save_async: bool = False,
        backend: str | None = None,
    ):
        super().__init__(blocks, save_sharded, save_async, backend)
        self.num_shards = num_shards

    @override
    def axes(self, num_ranks: int, per_machine: int) -> dict[str, int]:
        return split(num_ranks, per_machine, self.num_shards, "num_shards", "replicate", "shard")
