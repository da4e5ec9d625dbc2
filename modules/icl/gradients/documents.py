"""Where the documents of a batch lie.

Shape legend: B = rows, L = row length, T = B * L, N = documents, M = longest document.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DocumentTable:
    """Documents that fill the flattened rows of a batch, one after another.

    Attributes:
        num_rows: B.
        row_length: L.
        length_N: Length of each document in order, padding that is nobody's included; each row is
            one document where None.

    Raises:
        ValueError: The lengths do not add up to the batch.
    """

    num_rows: int
    row_length: int
    length_N: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the lengths."""
        if sum(self.lengths) != self.num_tokens:
            raise ValueError(
                f"documents of {sum(self.lengths)} tokens in all do not fill a batch of "
                f"{self.num_rows} x {self.row_length} = {self.num_tokens}"
            )

    @property
    def num_tokens(self) -> int:
        """T."""
        return self.num_rows * self.row_length

    @property
    def lengths(self) -> list[int]:
        """Length of each document."""
        return list(self.length_N or [self.row_length] * self.num_rows)

    def sums(self, x_TQ: Tensor) -> Tensor:
        """Sum over the tokens of each document, [N, Q]."""
        return torch.stack([part.sum(0) for part in x_TQ.split(self.lengths)])

    def apart(self, x_T: Tensor) -> Tensor:
        """The tokens [T, ...] document by document, [N, M, ...], zeros behind the shorter ones."""
        longest = max(self.lengths)
        if min(self.lengths) == longest:
            return x_T.unflatten(0, (-1, longest))
        parts = x_T.split(self.lengths)
        return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
