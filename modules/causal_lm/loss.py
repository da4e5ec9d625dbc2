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


def next_token_log_p(logits_TV: Tensor, label_T: Tensor, temperature: float = 1.0) -> Tensor:
    """Log p(label) at each position, [T], float32; 0 where there is no label.

    Args:
        logits_TV: Scores of the next token, any floating type.
        label_T: As in `next_token_loss`.
        temperature: Divides the scores, as in sampling.
    """
    scores_TV = logits_TV.to(torch.promote_types(logits_TV.dtype, torch.float32)) / temperature
    return -F.cross_entropy(scores_TV, label_T, ignore_index=IGNORE, reduction="none")


def chunked(
    score: Callable[[Tensor, Tensor], Tensor],
    head: Callable[[Tensor], Tensor],
    hidden_TD: Tensor,
    label_T: Tensor,
    chunk: int,
) -> list[Tensor]:
    """A score of each chunk of positions, without ever holding [T, V].

    Logits are made chunk by chunk, and again backward.

    Args:
        score: From logits and labels of a chunk, such as `next_token_loss`.
        head: Hidden states to logits.
        hidden_TD: Last hidden states.
        label_T: As in `next_token_loss`.
        chunk: Positions whose logits are held at a time.
    """

    def part(hidden: Tensor, label: Tensor) -> Tensor:
        return score(head(hidden), label)

    parts = zip(hidden_TD.split(chunk), label_T.split(chunk), strict=True)
    return [checkpoint(part, hidden, label, use_reentrant=False) for hidden, label in parts]
