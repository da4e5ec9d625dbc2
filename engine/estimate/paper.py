"""A config's system, built and run on paper: its parameters, and a step of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import lightning as L
import numpy as np
import torch
from lightning.pytorch.plugins.precision import HalfPrecision, Precision
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.disk.weightless import weightless
from engine.estimate.rank_memory import PaperModel
from engine.measure.live_bytes import GRADIENTS, KINDS, OPTIMIZER, WEIGHTS, fake_mode
from engine.measure.paper_step import (
    PaperStep,
    ParameterSize,
    faked_batch,
    run_step,
    without_memory,
)
from engine.parallel.fsdp2 import find_blocks


@runtime_checkable
class Exemplary(Protocol):
    """Data that can say what a training batch looks like without reading anything."""

    def example(self) -> tuple[Any, int]:
        """A batch of full size, and its tokens."""


@runtime_checkable
class Holding(Protocol):
    """A callback that holds memory of its own."""

    def held_bytes(self, module: nn.Module) -> int:
        """Bytes that it holds for a module, whole."""


@dataclass(frozen=True)
class OnPaper:
    """What was counted of a config.

    Attributes:
        model: For the strategies.
        unit: What a micro-batch is counted in.
        num_units: How many of them a micro-batch has.
        fault: Why the step could not be run; empty where it was.
    """

    model: PaperModel
    unit: str
    num_units: int
    fault: str = ""


def counted(
    trainer: L.Trainer,
    model: L.LightningModule,
    datamodule: Any,
    precision: Precision,
    blocks: list[str] | None = None,
    is_half: bool = False,
) -> OnPaper:
    """Build a system without weights, and run a step of it without memory.

    Args:
        trainer: Whose callbacks and accumulation count.
        model: The system; its network is not built yet.
        datamodule: Gives the batch.
        precision: Of the run.
        blocks: As of `engine.parallel.fsdp2.FSDP2`.
        is_half: Whether that precision stands for DeepSpeed's 16 bits.
    """
    fake = fake_mode()
    build(model, precision)
    without_memory(model, fake)
    trainer.strategy.connect(model)
    model.trainer = trainer
    batch, tokens = batch_of(datamodule)
    batch = precision.convert_input(batch)  # as Lightning's loops do
    optimizer = made_optimizer(model)
    keeps = trainer.accumulate_grad_batches > 1
    fault, step = "", None
    for given in (faked_batch(batch, fake), batch):  # values, where a step looks at them
        around = precision.forward_context()
        try:
            step = run_step(model, loss_of(model, given), optimizer, fake, around, keeps)
            break
        except Exception as error:
            fault = fault or f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            optimizer = made_optimizer(model)
    fault = "" if step is not None else fault
    step = step or without_activations(model)
    unit, num = units_of(model, tokens)
    return OnPaper(paper_model(trainer, model, step, blocks, is_half), unit, num, fault)


def build(model: L.LightningModule, precision: Precision) -> None:
    """Build the network of a system on the meta device, in the precision of its training."""
    with torch.device("meta"), weightless(), precision.module_init_context():
        model.configure_model()
    if isinstance(precision, HalfPrecision):
        precision.convert_module(model)
    model.train()


def batch_of(datamodule: Any) -> tuple[Any, int]:
    """A training batch and its tokens: an example, or else the first of the data; 0 if unknown."""
    if isinstance(datamodule, Exemplary):
        return datamodule.example()
    datamodule.prepare_data()
    datamodule.setup("fit")
    return next(iter(datamodule.train_dataloader())), 0


def made_optimizer(model: L.LightningModule) -> Optimizer:
    """The optimizer of a system; on a GPU torch updates all tensors of a group together.

    Raises:
        TypeError: There are several.
    """
    made: Any = model.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(model).__name__} has no single optimizer, so no step to count")
    for group in optimizer.param_groups:
        if group.get("foreach", True) is None and not group.get("fused"):
            group["foreach"] = True
    return optimizer


def loss_of(model: L.LightningModule, batch: Any) -> Callable[[], Tensor]:
    """A forward pass of a system over a batch."""

    def loss() -> Tensor:
        found: Any = model.training_step(batch, 0)
        total: Tensor = found["loss"] if isinstance(found, dict) else found
        return total

    return loss


def without_activations(model: nn.Module) -> PaperStep:
    """What can be counted where a step cannot be run: weights, gradients, AdamW in 32 bits."""
    size = ParameterSize.of(model.parameters())
    held = np.zeros((1, len(KINDS)), np.int64)
    states = 8 * size.trainable
    held[0, [WEIGHTS, GRADIENTS, OPTIMIZER]] = size.total_bytes, size.trainable_bytes, states
    return PaperStep(size, states, held, held, 0, 0)


def units_of(model: Any, tokens: int) -> tuple[str, int]:
    """What a micro-batch is counted in, and how many of them it has."""
    if tokens:
        return "tokens", tokens
    meter = getattr(model, "meter", None)
    return getattr(meter, "unit", "samples"), int(getattr(meter, "num_targets", 0))


def paper_model(
    trainer: L.Trainer,
    model: L.LightningModule,
    step: PaperStep,
    blocks: list[str] | None,
    is_half: bool,
) -> PaperModel:
    """What of a system matters to a strategy."""
    network = getattr(model, "network", model)
    parts = find_blocks(network, blocks)
    sizes = [ParameterSize.of(part.parameters()) for part in parts]
    inside = ParameterSize.of(p for part in parts for p in part.parameters())
    largest = max(sizes, key=lambda one: one.total_bytes, default=ParameterSize())
    listed: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    average = sum(one.held_bytes(model) for one in listed if isinstance(one, Holding))
    return PaperModel(step, largest, step.size - inside, average, is_half)
