"""The loss of a summariser: cross-entropy of the clean tokens (P^3Sum, sec. 3.1).

Shape legend: B = summaries, S = positions, V = vocabulary.
"""

from torch import Tensor
from torch.nn import functional as F


def token_loss(logits_BSV: Tensor, token_BS: Tensor, counts_BS: Tensor | None = None) -> Tensor:
    """Sum of the cross-entropies in nats, in single precision.

    Args:
        logits_BSV: Predicted logits.
        token_BS: Clean tokens.
        counts_BS: Positions that count; None for all, padding included.
    """
    nats = F.cross_entropy(logits_BSV.flatten(0, 1).float(), token_BS.flatten(), reduction="none")
    return nats.sum() if counts_BS is None else (nats * counts_BS.flatten()).sum()
