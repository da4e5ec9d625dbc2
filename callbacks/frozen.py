"""Proof, after training, that what should be frozen did not move."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import lightning as L
import torch
from torch import Tensor
from typing_extensions import override

CHUNK = 2**22
"""Elements that are copied from the device at a time."""

MOST_THREADS = 8
"""Parameters hashed side by side; each holds a chunk in memory."""


class FrozenGuard(L.Callback):
    """Fail a run in which a bit of a parameter without gradient changed.

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


def checksums(module: torch.nn.Module) -> dict[str, bytes]:
    """SHA-256 of what this rank holds of each frozen parameter."""
    frozen = {name: p for name, p in module.named_parameters() if not p.requires_grad}
    with ThreadPoolExecutor(min(MOST_THREADS, cpu_count() or 1)) as pool:
        return dict(zip(frozen, pool.map(checksum, frozen.values()), strict=True))


@torch.no_grad()
def checksum(parameter: Tensor) -> bytes:
    """SHA-256 of every bit of what this rank holds of a parameter, in its order."""
    held = getattr(parameter, "ds_tensor", parameter)  # a part of it, under DeepSpeed's ZeRO-3
    to_local = getattr(held, "to_local", None)
    local = held.detach() if to_local is None else to_local().detach()
    digest = hashlib.sha256()
    for chunk in local.reshape(-1).split(CHUNK):
        digest.update(chunk.cpu().view(torch.uint8).numpy().data)
    return digest.digest()
