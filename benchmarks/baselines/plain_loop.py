"""A minimal hand-written training loop for one network."""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from modules.causal_lm.system import CausalLM, TokenBatch


class HandWrittenLoop:
    """Forward, backward, clipping, optimizer and scheduler; no logging, checkpoints or resuming.

    Args:
        system: Only its network, optimizer and schedule are used.
        batches: Collated batches, used in turn.
        clip: Maximum norm of the gradient.
        clock: Returns the time in seconds.
        device: Where the network is and the batches are put.
    """

    def __init__(
        self,
        system: CausalLM,
        batches: Sequence[Any],
        clip: float = 1.0,
        clock: Callable[[], float] = perf_counter,
        device: torch.device | None = None,
    ):
        self.clock = clock
        system.configure_model()
        if device is not None:
            system.to(device)
            batches = [moved(batch, device) for batch in batches]
        self.network = system.language_model
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        configured = system.configure_optimizers()
        self.optimizer: torch.optim.Optimizer = configured["optimizer"]
        self.scheduler = configured["lr_scheduler"]["scheduler"]
        self.batches = cycle(batches)
        self.clip = clip

    def step(self, batch: TokenBatch) -> None:
        """One optimizer step."""
        self.optimizer.zero_grad()
        total = self.network.loss(
            batch["token_BL"], batch["label_BL"], batch["position_BL"], batch["length_N"]
        )
        (total / max(1, batch["num_targets"])).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.scheduler.step()

    def seconds_a_step(self, num_steps: int, num_warm: int = 2) -> float:
        """Mean time of consecutive steps, after some warm-up steps."""
        self.network.train()
        for batch in islice(self.batches, num_warm):
            self.step(batch)
        start = self.clock()
        for batch in islice(self.batches, num_steps):
            self.step(batch)
        return (self.clock() - start) / num_steps


def moved(batch: Any, device: torch.device) -> Any:
    """A batch whose tensors are on a device."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), batch)
