"""Next-token cross-entropy. Shape legend: T = positions, D = width, V = vocabulary."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORE = -100
"""Label of a position that has nothing to predict."""


@dataclass(frozen=True)
class Losses:
    """What a batch adds to the loss of a step.

    Attributes:
        nats: Sum of the next-token cross-entropy over positions with a label.
        balance: Balance of experts with its weight, times the number of those positions; None
            where the architecture has none.
    """

    nats: Tensor
    balance: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """What is minimised, still a sum over positions."""
        return self.nats if self.balance is None else self.nats + self.balance


def next_token_loss(logits_TV: Tensor, label_T: Tensor) -> Tensor:
    """Sum of -log p(label) over the positions that have a label, in nats, float32.

    Args:
        logits_TV: Scores of the next token, any floating type.
        label_T: The token that follows each position, or `IGNORE`.
    """
    return F.cross_entropy(logits_TV.float(), label_T, ignore_index=IGNORE, reduction="sum")


def chunked_next_token_loss(
    head: Callable[[Tensor], Tensor], hidden_TD: Tensor, label_T: Tensor, chunk: int
) -> Tensor:
    """The same sum without ever holding [T, V]: logits are made chunk by chunk, and again backward.

    Args:
        head: Hidden states to logits.
        hidden_TD: Last hidden states.
        label_T: As in `next_token_loss`.
        chunk: Positions whose logits are held at a time.
    """

    def part(hidden: Tensor, label: Tensor) -> Tensor:
        return next_token_loss(head(hidden), label)

    parts = zip(hidden_TD.split(chunk), label_T.split(chunk), strict=True)
    losses = [checkpoint(part, hidden, label, use_reentrant=False) for hidden, label in parts]
    return torch.stack(losses).sum()
