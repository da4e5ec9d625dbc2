"""Parallelism, decided from outside: networks are written for one device."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.optim import Optimizer
from typing_extensions import override

from engine.checkpoint.io import verify
from engine.parallel.mesh import make_mesh
from engine.parallel.optimizer_states import gathered, load, numbered
from engine.parallel.shards.reading import read_folder
from engine.parallel.shards.saver import Saver
from engine.parallel.shards.writing import as_bytes, copied, in_shards, write_folder


class FSDP2(ModelParallelStrategy):
    """Shards parameters, gradients and optimizer state of every block over all ranks.

    The repeated blocks of the network (the members of its longest module list) are sharded one by
    one, so that one block at a time is gathered; the rest is sharded as one more group.

    Args:
        blocks: Class names of the modules to shard one by one; found as above where None.
        save_sharded: Whether each rank saves its shard (a folder), or rank 0 everything (a file).
        save_async: Whether folders are written while the training goes on.
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
        save_async: bool = False,
        backend: str | None = None,
    ):
        if save_async and not save_sharded:
            raise ValueError("save_async writes folders of shards: set save_sharded as well")
        super().__init__(save_distributed_checkpoint=save_sharded, process_group_backend=backend)
        self.blocks = blocks
        self.saver = Saver(save_async)
        self.cpu_group: Any = None

    def axes(self, num_ranks: int, per_machine: int) -> dict[str, int]:
        """Names and sizes of the axes in which ranks are arranged; the last varies fastest.

        Args:
            num_ranks: All ranks.
            per_machine: Those of one machine.

        Raises:
            ValueError: So many ranks cannot be arranged.
        """
        return {"shard": num_ranks}

    @override
    def setup_environment(self) -> None:
        self._setup_distributed()
        sizes = self.axes(self.world_size, self.num_processes)
        self._device_mesh = make_mesh(sizes, self.root_device)
        assert self.lightning_module is not None
        self.lightning_module._device_mesh = self._device_mesh
        self.cpu_group = dist.new_group(backend="gloo")  # saves may run beside the training

    @property
    def shard_mesh(self) -> DeviceMesh | None:
        """Ranks that hold the weights in parts; None where each holds what it needs."""
        return self.device_mesh

    @property
    @override
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    @override
    def setup(self, trainer: L.Trainer) -> None:
        network = getattr(self.lightning_module, "network", None)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{type(self.lightning_module).__name__} has no network to shard")
        self.divide(network)
        if self.shard_mesh is not None:
            self.shard(network, self.shard_mesh)
        super().setup(trainer)

    def divide(self, network: nn.Module) -> None:
        """What is done to a network before its weights are sharded."""

    def shard(self, network: nn.Module, mesh: DeviceMesh) -> None:
        """Shard blocks and what is left of a network; its methods gather what they need."""
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        blocks = find_blocks(network, self.blocks)
        for module in (*blocks, network):
            fully_shard(module, mesh=mesh)
        named = [(network, name) for name in self.methods]
        for module, name in named + [
            (block, name) for block in blocks for name in self.block_methods
        ]:
            if hasattr(module, name):
                register_fsdp_forward_method(module, name)

    # Checkpoints

    @property
    def saves_shards(self) -> bool:
        """Whether checkpoints hold sharded tensors as they are."""
        return bool(self._save_distributed_checkpoint)

    @override
    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The weights: sharded, or whole on the first rank."""
        if not self.saves_shards:
            return super().lightning_module_state_dict()
        from torch.distributed.checkpoint.state_dict import get_model_state_dict

        assert self.model is not None
        return get_model_state_dict(self.model)

    @override
    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of an optimizer: sharded by names, or whole as one process would have it."""
        inner = getattr(optimizer, "_optimizer", optimizer)  # Lightning wraps it
        assert self.model is not None
        if not self.saves_shards:
            return numbered(gathered(self.model, inner), self.model, inner)
        from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

        state: dict[str, Any] = get_optimizer_state_dict(self.model, inner)
        return state

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Save a file, or a folder of shards; the latter perhaps while the training goes on.

        Raises:
            OSError: This checkpoint could not be saved, or the last one that was written meanwhile.
        """
        if not self.saves_shards or storage_options is not None:
            super().save_checkpoint(checkpoint, filepath, storage_options)
            return
        self.saver.finish()
        target = Path(self.broadcast(filepath))
        state, rest = in_shards(checkpoint)
        state = copied(state) if self.saver.is_async else state
        content = as_bytes(rest) if self.is_global_zero else b""
        self.saver.save(partial(write_folder, target, state, content, self.cpu_group))

    @override
    def remove_checkpoint(self, filepath: str | Path) -> None:
        """Remove a checkpoint once the one that is being written is there."""
        if self.is_global_zero:
            self.once_saved(partial(self.checkpoint_io.remove_checkpoint, filepath))

    def once_saved(self, action: Callable[[], None]) -> None:
        """Do something when the checkpoint that is being written is there."""
        self.saver.once_saved(action)

    def finish_saves(self) -> None:
        """Wait for the checkpoint that is being written.

        Raises:
            OSError: It could not be written.
        """
        self.saver.finish()

    @override
    def on_train_end(self) -> None:
        self.finish_saves()
        super().on_train_end()

    @override
    def teardown(self) -> None:
        self.saver.close()
        super().teardown()

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
        if path.is_dir():
            return read_folder(path, module, self.optimizers, self.cpu_group)
        refuse_other_model(path, module)
        strict, optimizers = module.strict_loading, self._optimizers
        module.strict_loading = False
        try:
            self._optimizers = []  # Lightning numbers their parameters in another order
            checkpoint = super().load_checkpoint(path, weights_only)
        finally:
            module.strict_loading, self._optimizers = strict, optimizers
        for optimizer, state in zip(optimizers, checkpoint["optimizer_states"], strict=False):
            load(state, module, optimizer)
        return checkpoint


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
