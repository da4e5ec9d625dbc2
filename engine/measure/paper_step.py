"""One optimizer step on paper: what it holds and computes, by running it without memory.

Parameters are fake tensors, which have a shape and a dtype and no values; the step itself is the
system's own. Its operators are those of a CPU: kernels of a GPU differ in scratch memory.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from engine.measure.flops import FlopCounter
from engine.measure.live_bytes import GRADIENTS, OPTIMIZER, LiveBytes, Moments

BLOCK = 256
"""Numbers of an optimizer's state that share a divisor in bitsandbytes."""


@dataclass(frozen=True)
class ParameterSize:
    """Parameters of some modules; one that is used twice counts once.

    One whose attribute `stands_for` is a number holds so many weights, as codes of few bits do.

    Attributes:
        trainable: Number.
        frozen: Number.
        trainable_bytes: Of the trainable ones.
        frozen_bytes: Of the frozen ones.
    """

    trainable: int = 0
    frozen: int = 0
    trainable_bytes: int = 0
    frozen_bytes: int = 0

    @classmethod
    def of(cls, parameters: Iterable[nn.Parameter]) -> "ParameterSize":
        """The size of some parameters."""
        counts = [0, 0, 0, 0]
        for p in {id(p): p for p in parameters}.values():
            counts[not p.requires_grad] += getattr(p, "stands_for", p.numel())
            counts[2 + (not p.requires_grad)] += p.numel() * p.element_size()
        return cls(*counts)

    @property
    def total(self) -> int:
        """Number of all."""
        return self.trainable + self.frozen

    @property
    def total_bytes(self) -> int:
        """Bytes of all."""
        return self.trainable_bytes + self.frozen_bytes

    def __sub__(self, other: "ParameterSize") -> "ParameterSize":
        """What is left without some of them."""
        return ParameterSize(
            self.trainable - other.trainable,
            self.frozen - other.frozen,
            self.trainable_bytes - other.trainable_bytes,
            self.frozen_bytes - other.frozen_bytes,
        )


@dataclass(frozen=True)
class PaperStep:
    """A micro-batch and the update after it, on one device that holds everything.

    Attributes:
        size: Of all parameters.
        optimizer: Bytes of the optimizer's state.
        passes: Bytes of each kind during forward and backward, while the gradients of the last
            step, or of earlier micro-batches, are still there.
        update: Bytes of each kind while the optimizer steps.
        flops: Operations of forward and backward.
        recomputed: Those among them that compute activations again.
    """

    size: ParameterSize
    optimizer: int
    passes: Moments
    update: Moments
    flops: int
    recomputed: int

    @property
    def peak(self) -> int:
        """Most bytes that are alive at a time."""
        return int(max(self.passes.sum(1).max(), self.update.sum(1).max()))


def run_step(
    module: nn.Module,
    loss: Callable[[], Tensor],
    optimizer: Optimizer,
    fake: FakeTensorMode | None = None,
    around: AbstractContextManager[Any] | None = None,
    keeps_gradients: bool = False,
) -> PaperStep:
    """Run a step and follow its bytes and operations.

    Args:
        module: Whose parameters are trained; changed by the step where they are real.
        loss: Runs the forward pass.
        optimizer: Of the trainable parameters.
        fake: Where parameters are fake; None runs the step for real.
        around: What the forward pass runs in, such as autocast.
        keeps_gradients: Whether gradients add up over micro-batches.
    """
    bytes_, flops = LiveBytes(fake), FlopCounter()
    trained = [p for p in module.parameters() if p.requires_grad]
    with bytes_.following(module):
        for p in trained:
            p.grad = torch.zeros_like(p)
            bytes_.mark([p.grad], GRADIENTS)
        bytes_.mark(state_of(optimizer), OPTIMIZER)
        bytes_.taken()
        with flops:
            with around or nullcontext():
                total = loss()
            if not keeps_gradients:
                optimizer.zero_grad()  # Lightning's order: after the forward pass
            total.backward()
        del total
        passes = bytes_.taken()
        if not is_of_kernels(optimizer):
            optimizer.step()
        update = bytes_.taken()
        held = sum(t.untyped_storage().nbytes() for t in tensors_of(optimizer))
    return PaperStep(
        ParameterSize.of(module.parameters()), held, passes, update, flops.total, flops.recomputed
    )


def state_of(optimizer: Optimizer) -> list[Tensor]:
    """The state of an optimizer that has stepped once."""
    if is_of_kernels(optimizer):
        lay_out(optimizer)
    else:
        optimizer.step()
    return tensors_of(optimizer)


def is_of_kernels(optimizer: Optimizer) -> bool:
    """Whether an optimizer is one of bitsandbytes, whose kernels need memory to write to."""
    return type(optimizer).__module__.startswith("bitsandbytes")


def lay_out(optimizer: Any) -> None:
    """The state that bitsandbytes keeps: two moments, in 8 bits with a divisor for each block.

    Small tensors keep theirs in 32 bits.
    """
    wide = optimizer.args.optim_bits == 32
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        is_wide = wide or p.numel() < optimizer.args.min_8bit_size
        dtype = torch.float32 if is_wide else torch.uint8
        moments = {f"state{n}": torch.empty_like(p, dtype=dtype) for n in (1, 2)}
        blocks = 0 if is_wide else -(-p.numel() // BLOCK)
        divisors = {f"absmax{n}": p.new_empty(blocks, dtype=torch.float32) for n in (1, 2)}
        optimizer.state[p] = moments | divisors


def tensors_of(optimizer: Optimizer) -> list[Tensor]:
    """All tensors of an optimizer's state."""
    held = (value for state in optimizer.state.values() for value in state.values())
    return [value for value in held if isinstance(value, Tensor)]


def without_memory(module: nn.Module, fake: FakeTensorMode) -> None:
    """Put fake tensors in the place of a module's parameters and buffers on the meta device.

    Those that were shared still are.

    Args:
        module: Changed in place.
        fake: Makes them.
    """
    made: dict[int, Tensor] = {}

    def instead(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            empty = faked(tensor, fake)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
            if hasattr(tensor, "stands_for"):
                made[id(tensor)].stands_for = tensor.stands_for  # type: ignore[attr-defined]
        return made[id(tensor)]

    kept = []  # ids are of living tensors alone
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None and tensor.is_meta:
                    kept.append(tensor)
                    held[name] = instead(tensor)  # type: ignore[assignment]


def faked(tensor: Tensor, fake: FakeTensorMode) -> Tensor:
    """A fake tensor of the same shape on the CPU."""
    with fake:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


def faked_batch(batch: Any, fake: FakeTensorMode) -> Any:
    """A batch whose tensors are fake; numbers and lists stay."""
    return tree_map_only(Tensor, lambda tensor: faked(tensor, fake), batch)
