"""Memory of one GPU, of a step that was run on paper for one that holds everything.

Every strategy shards some parts and gathers others a block at a time; this file says which, and
how many bytes a GPU sends for it. T are the bytes of trainable weights, W of all, n the ranks.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.measure.live_bytes import GRADIENTS, KINDS, OPTIMIZER, TEMPORARY, WEIGHTS, Moments
from engine.measure.paper_step import PaperStep, ParameterSize

StrategyName = Literal["ddp", "fsdp2", "hsdp", "zero2", "zero3", "zero3_offload"]
"""Strategies that are estimated."""

HALF = 2
"""Bytes of a number in 16 bits."""
BUCKET = 200_000_000
"""Numbers in each of DeepSpeed's two buckets, as Lightning sets them."""
LIVE = 1_000_000_000
"""Parameters that ZeRO-3 keeps gathered at most, as DeepSpeed sets it."""


@dataclass(frozen=True)
class RankLayout:
    """How many GPUs there are, and how they are grouped.

    Attributes:
        strategy: What shards the model.
        devices: All GPUs.
        node: GPUs of a machine.
    """

    strategy: StrategyName
    devices: int
    node: int = 8

    @property
    def shards(self) -> int:
        """Over how many GPUs optimizer states are split."""
        if self.strategy == "ddp":
            return 1
        return min(self.node, self.devices) if self.strategy == "hsdp" else self.devices

    @property
    def is_deepspeed(self) -> bool:
        """Whether DeepSpeed shards the model."""
        return self.strategy.startswith("zero")

    @property
    def shards_weights(self) -> bool:
        """Whether weights are split too, and gathered where they are needed."""
        return self.strategy not in ("ddp", "zero2")


@dataclass(frozen=True)
class PaperModel:
    """What of a model matters to a strategy.

    Attributes:
        step: A step on one device.
        largest: The largest block that is gathered at once.
        rest: What is gathered beside the blocks and kept for the whole step.
        average: Bytes of averaged weights.
        is_half: Whether DeepSpeed holds weights in 16 bits, and the step was run so.
    """

    step: PaperStep
    largest: ParameterSize
    rest: ParameterSize
    average: int = 0
    is_half: bool = False


@dataclass(frozen=True)
class RankMemory:
    """Bytes on one GPU when most are in use.

    Attributes:
        weights: Its share of them, trained and frozen.
        gradients: Its share.
        optimizer: Its share of the optimizer's state, master weights included.
        average: Its share of averaged weights.
        activations: What is saved for the backward pass.
        temporary: What lives for a few operators.
        gathered: Whole blocks and buckets of communication.
        host: Bytes in the memory of each machine.
        is_update: Whether that is while the optimizer steps.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    temporary: int
    gathered: int
    host: int = 0
    is_update: bool = False

    @property
    def total(self) -> int:
        """All of them on the GPU."""
        parts = (self.weights, self.gradients, self.optimizer, self.average)
        return sum(parts) + self.activations + self.temporary + self.gathered


def on_rank(model: PaperModel, layout: RankLayout) -> RankMemory:
    """What one GPU holds at its fullest: in forward and backward, or while the optimizer steps."""
    if layout.is_deepspeed:
        return under_deepspeed(model, layout)
    shards, step = layout.shards, model.step
    split = layout.shards_weights
    held = gathered(model, layout)
    return fullest(
        at_peak(step.passes, shards if split else 1, 1, held, model.average),
        at_peak(step.update, shards if split else 1, shards, 0, model.average, True),
    )


def at_peak(
    moments: Moments, shards: int, shared: int, held: int, average: int, is_update: bool = False
) -> RankMemory:
    """The fullest moment of a phase.

    Args:
        moments: Bytes of each kind over the phase, on one device that holds everything.
        shards: Over how many GPUs weights, gradients and optimizer states are split.
        shared: Over how many what is temporary is split: an update is of shards alone.
        held: Bytes that are gathered meanwhile.
        average: Bytes of averaged weights.
        is_update: Whether the phase is the optimizer's step.
    """
    share = np.ones(len(KINDS))
    share[[WEIGHTS, GRADIENTS, OPTIMIZER]] = 1 / shards
    share[TEMPORARY] = 1 / shared
    parts = moments * share
    top = parts[parts.sum(1).argmax()]
    weights, gradients, optimizer, activations, temporary = (int(n) for n in top)
    average = average // shards
    own = weights, gradients, optimizer, average, activations, temporary, held
    return RankMemory(*own, is_update=is_update)


def fullest(*phases: RankMemory) -> RankMemory:
    """The phase that takes most."""
    return max(phases, key=lambda one: one.total)


def gathered(model: PaperModel, layout: RankLayout) -> int:
    """Bytes that FSDP2 holds beside its shards.

    The rest of the network is gathered from its first use to the end of backward, and its
    gradients wait there; of the blocks, one is in use and the next is being gathered, and the
    gradients of one are made while those of another are reduced.
    """
    if not layout.shards_weights:
        return 0
    rest, block = model.rest, model.largest
    return rest.total_bytes + rest.trainable_bytes + 2 * (block.total_bytes + block.trainable_bytes)


def under_deepspeed(model: PaperModel, layout: RankLayout) -> RankMemory:
    """What one GPU holds under ZeRO.

    With 16-bit precision DeepSpeed keeps weights and gradients in 16 bits, and master weights and
    the optimizer's state in 32, of its own share; otherwise there are no master weights.
    """
    step, n = model.step, layout.devices
    size = step.size
    passes = at_peak(step.passes, 1, 1, 0, 0)
    wider = HALF if model.is_half else 1
    states = step.optimizer * wider + (4 * size.trainable if model.is_half else 0)
    bucket = min(BUCKET, size.trainable) * (HALF if model.is_half else 4)
    whole = RankMemory(
        weights=size.total_bytes // (n if layout.shards_weights else 1),
        gradients=size.trainable_bytes // n,
        optimizer=states // n,
        average=model.average // (n if layout.shards_weights else 1),
        activations=passes.activations,
        temporary=passes.temporary,
        gathered=2 * bucket,
    )
    if layout.shards_weights:
        live = min(size.total_bytes, LIVE * size.total_bytes // max(1, size.total))
        whole = replace(whole, gathered=whole.gathered + live)
    if layout.strategy == "zero3_offload":
        away = whole.weights + whole.gradients + whole.optimizer
        host = away * min(layout.node, n)
        return replace(whole, weights=0, gradients=0, optimizer=0, host=host)
    wide = 4 * size.trainable // n if model.is_half else 0  # gradients of the own share
    update = replace(whole, activations=0, temporary=wide + 4 * size.trainable // n, is_update=True)
    return fullest(whole, update)


def sent(model: PaperModel, layout: RankLayout, micro_batches: int) -> int:
    """Bytes that a GPU sends in a step, all collectives as rings.

    A ring moves (n - 1) / n of what is gathered or reduced, and twice that to reduce for all. DDP
    reduces gradients once a step, the others in every micro-batch.
    """
    size, n, m = model.step.size, layout.devices, micro_batches
    ring = (n - 1) / n
    whole, trained, block = size.total_bytes, size.trainable_bytes, model.rest.total_bytes
    if layout.strategy == "ddp":
        return int(2 * ring * trained)
    if layout.strategy == "zero2":
        return int(ring * (m * trained + trained))
    if layout.is_deepspeed:
        return int(ring * m * (2 * whole + trained))
    shards = layout.shards
    inner = (shards - 1) / shards * m * (2 * whole - block + trained)
    copies = n / shards
    return int(inner + 2 * (copies - 1) / copies * m * trained / shards)
