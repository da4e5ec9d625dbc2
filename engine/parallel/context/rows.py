"""Which part of each row a rank of context parallelism works on, and sums over these ranks.

A row is cut into 2n chunks for n ranks; rank r takes chunks r and 2n-1-r. Causal attention of
chunk c costs c+1 chunks of keys, so every rank has 2n+1 of them: all finish together.

Shape legend: B = rows, L = row length, M = positions of a chunk, n = ranks.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class RowPart:
    """This rank's part of rows.

    Attributes:
        rank: Of this process along the axis.
        size: n.
        group: The ranks that share rows.
    """

    rank: int
    size: int
    group: Any

    @property
    def chunks(self) -> tuple[int, int]:
        """The two chunks of this rank, in the order of the row."""
        return self.rank, 2 * self.size - 1 - self.rank

    def chunk_length(self, row_length: int) -> int:
        """M.

        Raises:
            ValueError: Rows cannot be cut evenly.
        """
        if row_length % (2 * self.size):
            raise ValueError(uneven(row_length, self.size))
        return row_length // (2 * self.size)

    def of_rows(self, *rows_BL: Tensor) -> list[Tensor]:
        """This rank's positions of some rows, [B, 2M] each."""
        length = self.chunk_length(rows_BL[0].shape[1])
        return [
            torch.cat([row.narrow(1, chunk * length, length) for chunk in self.chunks], dim=1)
            for row in rows_BL
        ]

    def gather(self, x: Tensor, dim: int) -> Tensor:
        """The parts of all ranks along a dimension, in the order of the row.

        Where all ranks compute alike with it, each adds the same gradient: the factor of `total`.
        """
        parts = Gather.apply(x, self.group).unflatten(dim + 1, (2, -1))
        first, second = parts.movedim(dim + 1, 1).unbind(1)
        return torch.cat([*first, *second.flip(0)], dim=dim)

    def total(self, x: Tensor) -> Tensor:
        """Sum over the ranks, with a gradient that the average over ranks leaves right."""
        return Total.apply(x, self.group)


def uneven(row_length: int, size: int) -> str:
    """Why rows of a length cannot be divided."""
    return (
        f"rows of {row_length} tokens cannot be divided over {size} ranks, each with two chunks; "
        f"take a row_length that is a multiple of {2 * size}"
    )


class Gather(torch.autograd.Function):
    """Tensors of all ranks, [n, ...]; backward each rank gets the sum of its own's gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        """Gather."""
        ctx.group = group
        out = x.new_empty(dist.get_world_size(group) * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(out, x.contiguous(), group=group)
        return out.unflatten(0, (-1, x.shape[0]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Reduce and scatter."""
        (gradient,) = gradients
        own = gradient.new_empty(gradient.shape[1:])
        dist.reduce_scatter_tensor(own, gradient.flatten(0, 1).contiguous(), group=ctx.group)
        return own, None


class Total(torch.autograd.Function):
    """Sum over ranks. All compute alike with it, so its gradient is there on every rank.

    Each rank's gradients are those of its part of the sum. Sharding averages them over the ranks,
    where they must be added: hence the factor.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        """Add."""
        ctx.size = dist.get_world_size(group)
        total = x.detach().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of this rank's part, times the number of ranks."""
        return gradients[0] * ctx.size, None
