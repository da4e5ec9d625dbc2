"""Keys and values of what stands already, for drawing and writing step by step.

Shape legend: B = sequences, Q = new positions of each, M = slots of the cache, G = key-value heads,
H = query heads, K = head size, D = width, T = B * Q.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from modules.lmfusion.experts import Path


@dataclass
class Cache:
    """Sequences of different lengths; slot j of a sequence holds its position j.

    Attributes:
        key_NBMGK: Keys of every block.
        value_NBMGK: Values of every block.
        length_B: Positions that stand in each sequence.
    """

    key_NBMGK: list[Tensor]
    value_NBMGK: list[Tensor]
    length_B: Tensor

    @staticmethod
    def empty(num_blocks: int, shape: tuple[int, int, int, int], like: Tensor) -> "Cache":
        """A cache with nothing in it.

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
        """The slots [B, Q] that come next.

        Raises:
            ValueError: The cache is full.
        """
        slot_BQ = self.length_B[:, None] + torch.arange(num, device=self.length_B.device)
        size = self.key_NBMGK[0].shape[1]
        if int(slot_BQ.max()) >= size:
            raise ValueError(f"a sequence of {int(slot_BQ.max()) + 1} does not fit {size} slots")
        return slot_BQ


@dataclass(frozen=True)
class Extension:
    """New positions that are about to be computed, block by block.

    Attributes:
        cache: What stands already; keys and values of the new positions are written into it.
        slot_BQ: Where they are written.
        mask_B1QM: Which slots each new position sees.
        rotary: Cosines and sines of the new positions, [T, K] each.
    """

    cache: Cache
    slot_BQ: Tensor
    mask_B1QM: Tensor
    rotary: tuple[Tensor, Tensor]

    def block(self, number: int, path: "Path", x_TD: Tensor, scale: float) -> Tensor:
        """One block over the new positions, all of one modality; [T, D]."""
        query, key, value = path.project(x_TD, self.rotary)
        shape = self.slot_BQ.shape
        row_B1 = torch.arange(shape[0], device=x_TD.device)[:, None]
        keys, values = self.cache.key_NBMGK[number], self.cache.value_NBMGK[number]
        keys[row_B1, self.slot_BQ] = key.unflatten(0, shape).to(keys.dtype)
        values[row_B1, self.slot_BQ] = value.unflatten(0, shape).to(values.dtype)
        used = self.mask_B1QM.shape[-1]
        q = query.unflatten(0, shape).transpose(1, 2)
        k, v = (x[:, :used].transpose(1, 2).to(q.dtype) for x in (keys, values))
        if k.shape[1] != q.shape[1]:
            k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, self.mask_B1QM, scale=scale)
        return path.finish(x_TD, out.transpose(1, 2).flatten(0, 1))


def visible(slot_BQ: Tensor, is_image: bool) -> Tensor:
    """Slots that new positions see: up to their own, or all new ones of the same image.

    Args:
        slot_BQ: Where the new positions stand.
        is_image: Whether they are the patches of one image.

    Returns:
        Boolean [B, 1, Q, M']; M' slots are in use.
    """
    last_BQ = slot_BQ[:, -1:].expand_as(slot_BQ) if is_image else slot_BQ
    key_M = torch.arange(int(slot_BQ.max()) + 1, device=slot_BQ.device)
    return (key_M <= last_BQ[..., None])[:, None]
