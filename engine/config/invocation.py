"""What is asked of a command: its configuration, read as questions."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jsonargparse import Namespace

from engine.config.origins import Origin, nested

SHORT_PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
"""Lightning's old spellings."""
ON_FSDP2 = (".FSDP2", ".HSDP", ".TensorParallel", ".ContextParallel", ".ModelParallelStrategy")
"""Strategies whose weights are torch's DTensors."""


@dataclass(frozen=True)
class Invocation:
    """What the checks want to know of a command.

    Attributes:
        command: The subcommand.
        config: Its parsed configuration.
    """

    command: str
    config: Namespace

    def trainer(self, name: str, default: Any = None) -> Any:
        """An option of the Trainer; of a class, its class_path."""
        value = self.config.get(f"trainer.{name}", default)
        return value.get("class_path", value) if isinstance(value, Namespace) else value

    @cached_property
    def strategy(self) -> str:
        """Lightning's name of the strategy, or a class_path."""
        return str(self.trainer("strategy", "auto"))

    @property
    def is_deepspeed(self) -> bool:
        """Whether DeepSpeed shards the model."""
        return "deepspeed" in self.strategy.lower()

    @property
    def is_fsdp2(self) -> bool:
        """Whether FSDP2 or a strategy on top of it shards the model."""
        return self.strategy.endswith(ON_FSDP2)

    @property
    def is_fsdp1(self) -> bool:
        """Whether the old FSDP shards the model."""
        return self.strategy.startswith("fsdp") or self.strategy.endswith(".FSDPStrategy")

    @cached_property
    def precision(self) -> str:
        """Lightning's long name of the precision."""
        given = str(self.trainer("precision") or "32-true")
        return SHORT_PRECISIONS.get(given, given)

    @cached_property
    def accelerator(self) -> str:
        """The accelerator as given."""
        return str(self.trainer("accelerator", "auto"))

    @cached_property
    def device(self) -> str:
        """The accelerator that Lightning would choose; `gpu` where there is none."""
        if self.accelerator not in ("auto", "gpu"):
            return self.accelerator
        if torch.backends.mps.is_available():
            return "mps"
        if torch.cuda.is_available():
            return "cuda"
        return "gpu" if self.accelerator == "gpu" else "cpu"

    @cached_property
    def model(self) -> list[Origin]:
        """Every key of the model."""
        model = self.config.get("model")
        return list(nested("", model.as_dict())) if isinstance(model, Namespace) else []

    @cached_property
    def has_bitsandbytes(self) -> bool:
        """Whether a plugin of the Trainer quantises the weights."""
        plugins = self.config.get("trainer.plugins") or []
        listed = plugins if isinstance(plugins, list) else [plugins]
        paths = [str(p.get("class_path")) for p in listed if isinstance(p, Namespace)]
        return any(path.endswith("BitsandbytesPrecision") for path in paths)
