"""Random numbers that a restart does not change."""

import random
from hashlib import blake2b

import lightning as L
import numpy as np
import torch
from typing_extensions import override

from engine.ranks.replicas import replica


class StepSeeds(L.Callback):
    """Seeds every generator anew before each batch, from (seed, replica, batch number).

    Dropout and noise of a batch then depend on nothing that a checkpoint would have to hold: a
    resumed run draws what the uninterrupted one would have drawn, on any number of ranks. Ranks
    that share their rows draw the same.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int):
        self.seed = seed

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        seed_all(mix(self.seed, replica(trainer)[0], number))


def mix(seed: int, rank: int, number: int) -> int:
    """One 32-bit seed from three numbers; neighbours are unrelated."""
    digest = blake2b(f"{seed}/{rank}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def seed_all(seed: int) -> None:
    """Seed python, numpy and torch on all devices in use.

    `torch.manual_seed` would queue the seed, with a stack trace each, for every kind of device that
    is not there: 0.3 ms a step, and memory that only grows.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
