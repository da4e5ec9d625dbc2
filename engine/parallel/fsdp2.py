"""Parallelism, decided from outside: networks are written for one device."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from typing_extensions import override

from engine.checkpoint.io import verify


class FSDP2(ModelParallelStrategy):
    """Shards parameters, gradients and optimizer state of every block over all ranks.

    The repeated blocks of the network (the members of its longest module list) are sharded one by
    one, so that one block at a time is gathered; the rest is sharded as one more group.

    Args:
        blocks: Class names of the modules to shard one by one; found as above where None.
        save_sharded: Whether each rank saves its shard (a folder), or rank 0 everything (a file).
        backend: Communication backend; torch's choice for the device where None.
    """

    methods = (
        "loss",
        "log_p",
        "generate",
        "extend_text",
        "extend_image",
        "read",
        "behind",
        "article_logits",
    )
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

    @override
    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load what is trained; frozen weights, which checkpoints leave out, are there already.

        Raises:
            ValueError: It was damaged, holds more than data, or a trainable parameter is missing or
                unknown.
        """
        path, module = Path(self.broadcast(checkpoint_path)), self.lightning_module
        assert module is not None
        verify(path)  # torch would run what the index of a folder names
        if path.is_file():
            refuse_other_model(path, module)
        strict = module.strict_loading
        module.strict_loading = False
        try:
            return super().load_checkpoint(path, weights_only)
        finally:
            module.strict_loading = strict


def refuse_other_model(checkpoint: Path, module: nn.Module) -> None:
    """Raise a ValueError unless a checkpoint holds exactly the module's state."""
    found = torch.load(checkpoint, mmap=True, map_location="cpu", weights_only=True)["state_dict"]
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    both = ((name, found[name].shape, wanted[name].shape) for name in wanted if name in found)
    other = [f"{name} {tuple(a)}, here {tuple(b)}" for name, a, b in both if a != b]
    kinds = (("missing", missing), ("unknown", unknown), ("other shape", other))
    reasons = [f"{len(names)} {kind}: {names[0]}" for kind, names in kinds if names]
    if reasons:
        raise ValueError(f"{checkpoint} is the checkpoint of another model: {'; '.join(reasons)}")


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
