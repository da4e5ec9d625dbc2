"""How many weights a step moves, where they are kept in half precision."""

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from typing_extensions import override

HALVES = (torch.bfloat16, torch.float16)
NUM_PROBES = 1024
"""Weights looked at in each parameter, at most."""
ENOUGH = 0.5
"""Share of the weights that a step must be able to move; below it the run begins with a warning."""


class Moved(L.Callback):
    """Says at the start if the learning rate is too small for half precision, and what then moves.

    Neighbouring bfloat16 numbers are 2^-8 to 2^-7 of their size apart, so a step of 1e-5 leaves a
    weight of 0.01 as it is. Reports get `moved`, the share of weights that the last step changed.
    Runs without trained weights in half precision are left alone.
    """

    def __init__(self) -> None:
        self.before: list[Tensor] | None = None

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        steps = {id(p): greatest_rate(group) for group in groups for p in group["params"]}
        halves = [p for p in trained_halves(pl_module) if id(p) in steps]
        share = mean_share([(p, would_move(probes(p), steps[id(p)])) for p in halves])
        if share is not None and share < ENOUGH:
            rank_zero_warn(
                f"precision {trainer.precision}: a step of the size of the learning rate "
                f"({max(steps[id(p)] for p in halves):.1e} at most) is rounded away in "
                f"{1 - share:.0%} of the trained weights, which would not be trained; "
                "bf16-mixed keeps them in single precision"
            )

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (trainer.global_step + 1) % max(1, every) == 0:
            self.before = [probes(p).clone() for p in trained_halves(pl_module)]

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        meter = getattr(pl_module, "meter", None)
        if not self.before or meter is None:
            return
        pairs = zip(trained_halves(pl_module), self.before, strict=True)
        share = mean_share([(p, probes(p) != old) for p, old in pairs])
        self.before = None
        meter.set_latest("moved", torch.tensor(share))


def trained_halves(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trained parameters in half precision of which this rank holds something."""
    for parameter in module.parameters():
        if parameter.requires_grad and parameter.dtype in HALVES and local(parameter).numel():
            yield parameter


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor."""
    tensor = getattr(tensor, "ds_tensor", tensor)  # a part of it, under DeepSpeed's ZeRO-3
    to_local = getattr(tensor, "to_local", None)
    return tensor.detach() if to_local is None else to_local().detach()


def probes(parameter: Tensor) -> Tensor:
    """Weights at even distances, [N]."""
    flat = local(parameter).reshape(-1)
    return flat[:: max(1, flat.numel() // NUM_PROBES)][:NUM_PROBES]


def greatest_rate(group: dict[str, Any]) -> float:
    """The greatest learning rate that the schedule of a group reaches."""
    return float(max(group.get(name, 0.0) for name in ("lr", "initial_lr", "max_lr")))


def would_move(weight_N: Tensor, step: float) -> Tensor:
    """Where a step reaches half of the distance to the next number, [N], bool."""
    _, power_N = torch.frexp(weight_N.abs().float())
    spacing_N = torch.finfo(weight_N.dtype).eps * torch.exp2(power_N.float() - 1)
    return (weight_N == 0) | (2 * step >= spacing_N)


def mean_share(found: list[tuple[Tensor, Tensor]]) -> float | None:
    """Share of True, each parameter by its size; None where there is none."""
    sizes = [local(parameter).numel() for parameter, _ in found]
    if not sizes:
        return None
    shares = torch.stack([is_N.double().mean() for _, is_N in found]).tolist()
    pairs = zip(sizes, shares, strict=True)
    return sum(size * share for size, share in pairs) / sum(sizes)
