"""Token ids of different lengths as one batch, and the positions of its tokens.

Shape legend: R = rows, L = tokens of the longest row.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Ids = Sequence[int]
"""Token ids of a text, without padding."""


def padded(
    rows: Sequence[Ids], left: bool = True, device: torch.device | str = "cpu", pad: int = 0
) -> tuple[Tensor, Tensor]:
    """Rows of one length, and which of their tokens are real.

    Args:
        rows: One or more.
        left: Whether padding comes before the tokens, as for prompts that are continued, or after.
        device: Of the result.
        pad: Token id of the padding.

    Returns:
        Token ids [R, L], and a mask [R, L] as integers, as transformers expects it.
    """
    longest = max(map(len, rows))
    token_RL = torch.full((len(rows), longest), pad)
    mask_RL = torch.zeros_like(token_RL)
    for row, ids in enumerate(rows):
        real = slice(longest - len(ids), None) if left else slice(len(ids))
        token_RL[row, real] = torch.tensor(ids)
        mask_RL[row, real] = 1
    return token_RL.to(device), mask_RL.to(device)


def positions(mask_RL: Tensor) -> Tensor:
    """Positions of the tokens of padded rows: padding does not count, and has position 0."""
    return (mask_RL.cumsum(1) - 1).clamp(min=0)
