"""Key-value cache for generation step by step.

Shape legend: B = sequences, Q = new positions of each, M = slots of the cache, G = key-value heads,
H = query heads, K = head size, D = width, T = B * Q.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Cache:
    """Sequences of different lengths; slot j of a sequence holds its position j.

    Attributes:
        key_NBMGK: Keys of every block.
        value_NBMGK: Values of every block.
        length_B: Number of positions of each sequence.
    """

    key_NBMGK: list[Tensor]
    value_NBMGK: list[Tensor]
    length_B: Tensor

    @staticmethod
    def empty(num_blocks: int, shape: tuple[int, int, int, int], like: Tensor) -> "Cache":
        """An empty cache.

        Args:
            num_blocks: Blocks of the network.
            shape: B, M, G, K.
            like: Gives dtype and device.
        """
        dtype, device = like.dtype, like.device  # `like` itself may be sharded
        empty = [
            [torch.zeros(shape, dtype=dtype, device=device) for _ in range(num_blocks)]
            for _ in range(2)
        ]
        length_B = torch.zeros(shape[0], dtype=torch.int64, device=like.device)
        return Cache(empty[0], empty[1], length_B)

    def slots(self, num: int) -> Tensor:
        """The next slots, [B, Q].

        Raises:
            ValueError: The cache is full.
        """
        slot_BQ = self.length_B[:, None] + torch.arange(num, device=self.length_B.device)
        size = self.key_NBMGK[0].shape[1]
        if int(slot_BQ.max()) >= size:
            raise ValueError(f"a sequence of {int(slot_BQ.max()) + 1} does not fit {size} slots")
        return slot_BQ


def visible(slot_BQ: Tensor, is_image: bool) -> Tensor:
    """Slots that new positions see: up to their own; for patches, all of the image too.

    Args:
        slot_BQ: Slots of the new positions.
        is_image: Whether they are the patches of one image.

    Returns:
        Boolean [B, 1, Q, M']; M' slots are in use.
    """
    last_BQ = slot_BQ[:, -1:].expand_as(slot_BQ) if is_image else slot_BQ
    key_M = torch.arange(int(slot_BQ.max()) + 1, device=slot_BQ.device)
    return (key_M <= last_BQ[..., None])[:, None]
