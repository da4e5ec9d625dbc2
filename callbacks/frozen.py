"""Proof, after training, that what should be frozen did not move."""

import lightning as L
import torch
from torch import Tensor
from typing_extensions import override


class FrozenGuard(L.Callback):
    """Fail a run in which a parameter without gradient changed.

    Sharded parameters are checked shard by shard, each rank its own.

    Raises:
        RuntimeError: At the end of `fit`, naming each parameter that moved.
    """

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before = checksums(pl_module)

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        after = checksums(pl_module)
        moved = [name for name, value in self.before.items() if after.get(name) != value]
        if moved:
            raise RuntimeError(f"frozen parameters changed during fit: {moved}")


@torch.no_grad()
def checksums(module: torch.nn.Module) -> dict[str, tuple[float, float]]:
    """Sum and sum of absolute values of each frozen parameter on this rank, in float64."""
    return {name: checksum(p) for name, p in module.named_parameters() if not p.requires_grad}


def checksum(parameter: Tensor) -> tuple[float, float]:
    """Sum and sum of absolute values of what this rank holds of a parameter."""
    to_local = getattr(parameter, "to_local", None)
    local = parameter.detach() if to_local is None else to_local().detach()
    exact = local.cpu().double()
    return exact.sum().item(), exact.abs().sum().item()
