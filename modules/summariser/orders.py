"""What is to be summarised, and where the randomness of each summary comes from.

Shape legend: B = summaries, C = article positions, R = some of the summaries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Orders:
    """What is to be summarised.

    Attributes:
        article_BC: Token ids of articles, padded on the right.
        mask_BC: True where a token is real.
        asked_B: Stance that is wanted; -100 where none is.
        noise: Where the noise of each summary comes from.
        choices: Where the choice of its tokens comes from.
    """

    article_BC: Tensor
    mask_BC: Tensor
    asked_B: Tensor
    noise: list[torch.Generator]
    choices: list[torch.Generator]

    def rows(self, row_R: Tensor) -> "Orders":
        """Some of them."""
        rows = row_R.tolist()
        return Orders(
            self.article_BC[row_R],
            self.mask_BC[row_R],
            self.asked_B[row_R],
            [self.noise[n] for n in rows],
            [self.choices[n] for n in rows],
        )
