"""Summaries written block by block, each after what is written before (SSD-LM; Han et al., 2023).

Shape legend: B = summaries, S = positions of a summary, K = positions of a block.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """What of each summary is noised in training: one block, or all of it, with its weights.

    Attributes:
        token_BK: Clean tokens.
        weight_BK: Weight of each position in the loss; None where all count the same.
        written_BS: Which positions of the summary are written before; None for none.
    """

    token_BK: Tensor
    weight_BK: Tensor | None = None
    written_BS: Tensor | None = None

    def block(self, mask_BS: Tensor, size: int, u_B: Tensor) -> "Part":
        """One block of each whole summary, drawn evenly among those up to the one that ends it.

        Its weight is their number, so that the mean over draws is the sum over blocks. Blocks
        after the end are never written: they add no loss.

        Args:
            mask_BS: True on tokens and the end.
            size: K, which divides S.
            u_B: Uniform numbers in [0, 1).
        """
        num_B = num_blocks(mask_BS, size)
        start_B1 = ((u_B * num_B).long() * size)[:, None]
        place_BK = start_B1 + torch.arange(size, device=mask_BS.device)
        written_BS = torch.arange(mask_BS.shape[1], device=mask_BS.device) < start_B1
        weight_BK = num_B[:, None].expand_as(place_BK).float()
        if self.weight_BK is not None:
            weight_BK = weight_BK * self.weight_BK.gather(1, place_BK)
        return Part(self.token_BK.gather(1, place_BK), weight_BK, written_BS)

    def weighted(self, weight_BK: Tensor | None) -> "Part":
        """The same with further weights."""
        if weight_BK is not None and self.weight_BK is not None:
            weight_BK = self.weight_BK * weight_BK
        return replace(self, weight_BK=self.weight_BK if weight_BK is None else weight_BK)


def num_blocks(mask_BS: Tensor, size: int) -> Tensor:
    """Blocks up to the one that ends each summary, at least one, [B].

    Args:
        mask_BS: True on tokens and the end.
        size: K, which divides S.
    """
    last_B = (mask_BS.sum(1) - 1).clamp(min=0)
    return last_B // size + 1


def in_blocks(mask_BS: Tensor, size: int | None) -> Tensor:
    """Whether each position is in a block up to the one that ends its summary, [B, S].

    Args:
        mask_BS: True on tokens and the end.
        size: K, which divides S; None for one block.
    """
    size = size or mask_BS.shape[1]
    place_S = torch.arange(mask_BS.shape[1], device=mask_BS.device)
    return place_S < size * num_blocks(mask_BS, size)[:, None]


def spans(length: int, size: int | None) -> list[slice]:
    """Positions of each block of a summary, in order.

    Args:
        length: S.
        size: K; None for one block.
    """
    size = size or length
    return [slice(at, at + size) for at in range(0, length, size)]


def check_size(length: int, size: int | None) -> None:
    """Refuse blocks that do not fill a summary.

    Raises:
        ValueError: There are positions left over.
    """
    if size is not None and (size < 1 or length % size):
        raise ValueError(
            f"data.init_args.summary_length {length} is no multiple of block_size {size}"
        )
