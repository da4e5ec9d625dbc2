"""What a module that keeps no meter of its own says of its training: the loss of its batches."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class LossMeter:
    """The mean loss over the batches since the last reading, kept on the device.

    Attributes:
        unit: What is counted, in the plural.
        num_targets: Batches since the last reading.
    """

    unit = "batches"

    def __init__(self) -> None:
        self.num_targets = 0
        self.losses: list[Tensor] = []
        self.step_losses: list[Tensor] = []

    def add(self, outputs: Any, parts: int) -> None:
        """Take note of a batch.

        Args:
            outputs: What Lightning hands out of a training step.
            parts: Batches of an optimizer step, by whose number Lightning has divided the loss.
        """
        self.num_targets += 1
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self.step_losses.append(loss.detach().float().mean() * parts)

    def end_step(self, is_taken: bool) -> None:
        """Keep the losses of an optimizer step; of one that is left out, forget them."""
        if is_taken and self.step_losses:
            self.losses.append(torch.stack(self.step_losses).sum())
            self.losses.append(torch.full_like(self.losses[-1], len(self.step_losses)))
        self.step_losses = []

    def means(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """The mean loss since the last reading; the only host sync.

        Args:
            reduce: Sums over ranks.
        """
        if not self.losses:
            return {}
        both = torch.stack([torch.stack(self.losses[i::2]).sum() for i in (0, 1)])
        self.losses = []
        total, count = (both if reduce is None else reduce(both)).tolist()
        return {"loss": total / count}
