"""DeepSpeed on CPU processes: what Lightning refuses there, DeepSpeed itself can do.

For tests and benchmarks of the shipped configs; TRAINER_TRUSTED=benchmarks.bench lets a config name
it. Messages go through gloo.
"""

import os
from importlib import import_module
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from typing_extensions import override

from engine.parallel.deepspeed import DeepSpeed


class DeepSpeedOnCPU(DeepSpeed):
    """The shipped strategy without Lightning's checks for CUDA."""

    @override
    def _format_config(self) -> None:
        """Networks of tests are so small that DeepSpeed would not share them out."""
        super()._format_config()
        assert isinstance(self.config, dict)
        self.config["zero_optimization"]["param_persistence_threshold"] = 0

    @property
    @override
    def root_device(self) -> torch.device:
        return torch.device("cpu", 0)

    @override
    def setup_environment(self) -> None:
        os.environ["DS_ACCELERATOR"] = "cpu"
        without_shared_memory()
        DDPStrategy.setup_environment(self)

    @override
    def setup_distributed(self) -> None:
        self.set_world_ranks()
        self._init_deepspeed_distributed()


def without_shared_memory() -> None:
    """Let DeepSpeed send through gloo; it would compile a channel of its own for a minute."""
    backend: Any = import_module("deepspeed.comm.torch")
    backend.build_shm_op = nothing


def nothing() -> None:
    """No channel."""
