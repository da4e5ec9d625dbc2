"""The U-Net that LMFusion puts around the transformer (sec. 3.1; Transfusion, sec. 3).

Residual blocks, one level for each halving of the image, self-attention at the lowest; the way up
concatenates the states of the way down. The time embedding is added inside every block, and norms
are not adaptive (Transfusion, footnote). Channels, blocks and the position of attention are not
published; the defaults are ours and give the published 0.27 billion parameters at a width of 4096.

Shape legend: as in `patchify`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from modules.lmfusion.network.patchify import Patchifier, Skips, TimeEmbedding, zero


class UNetPatchifier(Patchifier):
    """U-Net blocks down, U-Net blocks up.

    Args:
        width: D.
        size: Height and width of a latent.
        channels: C.
        widths: Channels of each level; the image is halved from one to the next.
        num_blocks: Residual blocks of a level on the way down; one more on the way up.
        time_width: F.
        unshuffle: Pixels along a side that are stacked into channels before the first level.
        head_size: Channels of a head of the self-attention.
    """

    def __init__(
        self,
        width: int,
        size: int = 32,
        channels: int = 8,
        widths: Sequence[int] = (512, 1024),
        num_blocks: int = 3,
        time_width: int = 1024,
        unshuffle: int = 1,
        head_size: int = 64,
    ):
        super().__init__(channels, size, unshuffle * 2 ** (len(widths) - 1))
        self.unshuffle = unshuffle
        self.time = TimeEmbedding(time_width)
        inputs = channels * unshuffle**2
        self.first = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.downward = Downward(widths, num_blocks, time_width, head_size)
        self.encode = nn.Linear(widths[-1], width)
        self.decode = nn.Linear(width, widths[-1])
        self.upward = Upward(widths, num_blocks, time_width, head_size)
        self.norm = layer_norm(widths[0])
        self.last = zero(nn.Conv2d(widths[0], inputs, 3, padding=1))

    @override
    def down(self, latent_ICHW: Tensor, step_I: Tensor) -> tuple[Tensor, Skips]:
        self.check(latent_ICHW)
        first = self.first(F.pixel_unshuffle(latent_ICHW, self.unshuffle))
        skips = self.downward(first, F.silu(self.time(step_I)))
        patch_InD = self.encode(skips[-1].flatten(2).transpose(1, 2))
        return patch_InD.flatten(0, 1), skips

    @override
    def up(self, hidden_PD: Tensor, step_I: Tensor, skips: Skips) -> Tensor:
        low = self.decode(hidden_PD).unflatten(0, (-1, self.num_patches)).transpose(1, 2)
        low = low.unflatten(2, (self.side, self.side))
        x = self.upward(low, F.silu(self.time(step_I)), skips)
        return F.pixel_shuffle(self.last(F.silu(self.norm(x))), self.unshuffle)


class Downward(nn.Module):
    """Levels from the full to the lowest resolution."""

    def __init__(self, widths: Sequence[int], num_blocks: int, time_width: int, head_size: int):
        super().__init__()
        self.levels = nn.ModuleList()
        self.halve = nn.ModuleList()
        for index, width in enumerate(widths):
            low = index == len(widths) - 1
            self.levels.append(level(width, width, num_blocks, time_width, low * head_size))
        for width, lower in pairwise(widths):
            self.halve.append(nn.Conv2d(width, lower, 3, stride=2, padding=1))

    @override
    def forward(self, x: Tensor, time_IF: Tensor) -> Skips:
        """The input, and the state after every block and every halving."""
        skips = [x]
        for index, blocks in enumerate(self.levels):
            if index > 0:
                x = self.halve[index - 1](x)
                skips.append(x)
            for block in cast(nn.ModuleList, blocks):
                x = block(x, time_IF)
                skips.append(x)
        return skips


class Upward(nn.Module):
    """Levels from the lowest to the full resolution; every block reads one skip."""

    def __init__(self, widths: Sequence[int], num_blocks: int, time_width: int, head_size: int):
        super().__init__()
        self.levels = nn.ModuleList()
        self.enlarge = nn.ModuleList()
        for index in reversed(range(len(widths))):
            width, low = widths[index], index == len(widths) - 1
            self.levels.append(level(2 * width, width, num_blocks + 1, time_width, low * head_size))
            if index > 0:
                self.enlarge.append(nn.Conv2d(width, widths[index - 1], 3, padding=1))

    @override
    def forward(self, x: Tensor, time_IF: Tensor, skips: Skips) -> Tensor:
        """From the lowest state back to the full resolution."""
        rest = list(skips)
        for index, blocks in enumerate(self.levels):
            if index > 0:
                x = self.enlarge[index - 1](F.interpolate(x, scale_factor=2.0, mode="nearest"))
            for block in cast(nn.ModuleList, blocks):
                x = block(torch.cat([x, rest.pop()], dim=1), time_IF)
        return x


def level(
    inputs: int, width: int, num_blocks: int, time_width: int, head_size: int
) -> nn.ModuleList:
    """Residual blocks of one resolution, with self-attention between them if `head_size` > 0."""
    sizes = [head_size] * (num_blocks - 1) + [0]
    return nn.ModuleList(UNetResidual(inputs, width, time_width, size) for size in sizes)


class UNetResidual(nn.Module):
    """Norm, SiLU, convolution, twice, the time embedding between; then self-attention, if any.

    Args:
        inputs: Input channels.
        width: Output channels.
        time_width: F.
        head_size: Channels of a head; no attention where 0.
    """

    def __init__(self, inputs: int, width: int, time_width: int, head_size: int):
        super().__init__()
        self.first_norm = layer_norm(inputs)
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.time = nn.Linear(time_width, width)
        self.second_norm = layer_norm(width)
        self.second = zero(nn.Conv2d(width, width, 3, padding=1))
        self.short = nn.Identity() if inputs == width else nn.Conv2d(inputs, width, 1)
        self.attention = PixelAttention(width, head_size) if head_size else None

    @override
    def forward(self, x: Tensor, time_IF: Tensor) -> Tensor:
        """[I, width, H, W]."""
        inner = self.first(F.silu(self.first_norm(x))) + self.time(time_IF)[:, :, None, None]
        x = self.short(x) + self.second(F.silu(self.second_norm(inner)))
        return x if self.attention is None else self.attention(x)


class PixelAttention(nn.Module):
    """Every pixel attends every other, added to the residual stream."""

    def __init__(self, width: int, head_size: int):
        super().__init__()
        self.num_heads = max(1, width // head_size)
        self.norm = layer_norm(width)
        self.project = nn.Linear(width, 3 * width)
        self.out = zero(nn.Linear(width, width))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """[I, width, H, W]."""
        pixel = self.norm(x).flatten(2).transpose(1, 2)
        heads = self.project(pixel).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(*heads)
        return x + self.out(out.transpose(1, 2).flatten(2)).transpose(1, 2).view_as(x)


def layer_norm(width: int) -> nn.Module:
    """Layer norm over channels and pixels, one gain and bias a channel."""
    return nn.GroupNorm(1, width)
