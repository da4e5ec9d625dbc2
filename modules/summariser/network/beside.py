"""Articles and summaries in one row, the summary right after its article.

Padding comes last, so that positions, and with them what a network computes, ignore the batch.

Shape legend: B = rows, C = article positions, S = summary positions, L = C + S, D = width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Beside:
    """Where the article and the summary of each row are.

    Attributes:
        place_BL: Index into article and summary, one after the other with the padding between.
        mask_BL: True where a token is.
        summary_BS: Positions of the summary.
    """

    place_BL: Tensor
    mask_BL: Tensor
    summary_BS: Tensor

    @classmethod
    def of(cls, mask_BC: Tensor, mask_BS: Tensor) -> "Beside":
        """Of the masks of articles and summaries."""
        longest = mask_BC.shape[1]
        end_B1 = mask_BC.sum(1, keepdim=True)
        position_1L = torch.arange(longest + mask_BS.shape[1], device=mask_BC.device)[None]
        offset_BL = (position_1L - end_B1).clamp(0, mask_BS.shape[1] - 1)
        is_article_BL = position_1L < end_B1
        place_BL = torch.where(is_article_BL, position_1L, longest + offset_BL)
        is_summary_BL = ~is_article_BL & (position_1L < end_B1 + mask_BS.shape[1])
        mask_BL = is_article_BL | (is_summary_BL & mask_BS.gather(1, offset_BL))
        summary_BS = end_B1 + torch.arange(mask_BS.shape[1], device=mask_BC.device)
        return cls(place_BL, mask_BL, summary_BS)

    def joined(self, article_BCD: Tensor, summary_BSD: Tensor) -> Tensor:
        """Both in one row, [B, L, D]; values in the padding are undefined."""
        both = torch.cat([article_BCD, summary_BSD.to(article_BCD.dtype)], 1)
        return both.gather(1, self.place_BL[..., None].expand(-1, -1, both.shape[-1]))

    def summary(self, x_BLD: Tensor) -> Tensor:
        """What a network computed at the summary's positions, [B, S, D]."""
        return x_BLD.gather(1, self.summary_BS[..., None].expand(-1, -1, x_BLD.shape[-1]))


def one_behind_the_other(
    part_BLD: Sequence[Tensor], mask_BL: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Parts in one row without gaps, [B, L, D], and where there are tokens.

    Args:
        part_BLD: The parts, each with its own number of positions.
        mask_BL: True where a token is in each.
    """
    x_BLD, stands_BL = torch.cat([*part_BLD], 1), torch.cat([*mask_BL], 1)
    order_BL = stands_BL.long().argsort(dim=1, descending=True, stable=True)
    x_BLD = x_BLD.gather(1, order_BL[..., None].expand_as(x_BLD))
    return x_BLD, stands_BL.gather(1, order_BL)
