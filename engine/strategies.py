"""Parallelism, decided from outside: networks are written for one device."""

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from typing_extensions import override


class FSDP2(ModelParallelStrategy):
    """Shards parameters, gradients and optimizer state of every block over all ranks.

    The repeated blocks of the network (the members of its longest module list) are sharded one by
    one, so that one block at a time is gathered; the rest is sharded as one more group.

    Args:
        blocks: Class names of the modules to shard one by one; found as above where None.
        save_sharded: Whether each rank saves its shard (a folder), or rank 0 everything (a file).
        backend: Communication backend; torch's choice for the device where None.
    """

    methods = ("loss", "generate", "extend_text", "extend_image")
    """What systems call of their networks besides `forward`; each gathers the weights it needs."""
    block_methods = ("extend",)
    """What networks call of their blocks besides `forward`."""

    def __init__(
        self,
        blocks: list[str] | None = None,
        save_sharded: bool = False,
        backend: str | None = None,
    ):
        super().__init__(
            data_parallel_size="auto",
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_sharded,
            process_group_backend=backend,
        )
        self.blocks = blocks

    @override
    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @override
    def setup(self, trainer: L.Trainer) -> None:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        network = getattr(self.lightning_module, "network", None)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{type(self.lightning_module).__name__} has no network to shard")
        mesh = self.device_mesh["data_parallel"]
        blocks = find_blocks(network, self.blocks)
        for module in (*blocks, network):
            fully_shard(module, mesh=mesh)
        named = [(network, name) for name in self.methods]
        for module, name in named + [
            (block, name) for block in blocks for name in self.block_methods
        ]:
            if hasattr(module, name):
                register_fsdp_forward_method(module, name)
        super().setup(trainer)


def find_blocks(network: nn.Module, names: list[str] | None) -> list[nn.Module]:
    """The repeated blocks of a network.

    Args:
        network: Any network.
        names: Class names to look for; where None, the members of the longest module list.

    Raises:
        ValueError: A name that no module has; quotes the classes that repeat.
    """
    if names is None:
        lists = [m for m in network.modules() if isinstance(m, nn.ModuleList)]
        longest = max(lists, key=len, default=nn.ModuleList())
        return [block for block in longest if any(True for _ in block.parameters())]
    found = [m for m in network.modules() if type(m).__name__ in names]
    missing = set(names) - {type(m).__name__ for m in found}
    if missing:
        known = sorted({type(m).__name__ for m in network.modules()})
        raise ValueError(f"no module of class {sorted(missing)} to shard; there are {known}")
    return found


def compute_dtype(precision: str) -> torch.dtype:
    """The type in which a Lightning precision multiplies matrices."""
    if "bf16" in precision:
        return torch.bfloat16
    return torch.float16 if "16" in precision else torch.float32
