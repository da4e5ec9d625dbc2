"""Between latent images and patch vectors (Transfusion, sec. 3; LMFusion, eq. 6 and 14).

The diffusion step enters here and nowhere else: the transformer has no time input.

Shape legend: I = images, C, H, W = channels and size of a latent, n = patches of an image,
P = I * n, D = width of the transformer, F = width of the time embedding.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

Skips = list[Tensor]
"""Skip connections from the way down to the way up."""


class Patchifier(nn.Module):
    """Turns latents into patch vectors and back.

    Args:
        channels: Channels of a latent.
        size: Height and width of a latent.
        stride: Latent pixels along the side of a patch.

    Raises:
        ValueError: `size` is no multiple of `stride`.
    """

    def __init__(self, channels: int, size: int, stride: int):
        super().__init__()
        self.channels = channels
        if size % stride:
            raise ValueError(f"patches of {stride} x {stride} do not fill latents of side {size}")
        self.size = size
        self.side = size // stride

    @property
    def num_patches(self) -> int:
        """n, patches of an image, in raster order."""
        return self.side**2

    @abstractmethod
    def down(self, latent_ICHW: Tensor, step_I: Tensor) -> tuple[Tensor, Skips]:
        """Patch vectors [P, D] of noised latents, and the skip connections."""

    @abstractmethod
    def up(self, hidden_PD: Tensor, step_I: Tensor, skips: Skips) -> Tensor:
        """The prediction [I, C, H, W] from the transformer's output."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a latent."""
        return self.channels, self.size, self.size

    def check(self, latent_ICHW: Tensor) -> None:
        """Refuse latents of another shape."""
        found = tuple(latent_ICHW.shape[1:])
        if found != self.shape:
            raise ValueError(f"latents are {found}, the network's {self.shape}")


PatchifierBuilder = Callable[[int], Patchifier]
"""Builds a patchifier for a transformer of the given width; YAML gives class and options."""


class TimeEmbedding(nn.Module):
    """Sines and cosines of the diffusion step (Vaswani et al., 2017), through an MLP.

    Args:
        width: F.
        num_waves: Number of wavelengths.
        longest: Longest wavelength over 2 pi, in steps.
    """

    def __init__(self, width: int, num_waves: int = 64, longest: float = 10_000.0):
        super().__init__()
        self.num_waves = num_waves
        self.longest = longest
        self.inner = nn.Linear(2 * num_waves, width)
        self.outer = nn.Linear(width, width)

    @override
    def forward(self, step_I: Tensor) -> Tensor:
        """[I, F] of steps of any real type."""
        power = torch.arange(self.num_waves, device=step_I.device).float() / self.num_waves
        angle = step_I.float()[:, None] * self.longest**-power
        wave = torch.cat([angle.sin(), angle.cos()], dim=-1).to(self.inner.weight.dtype)
        return self.outer(F.silu(self.inner(wave)))


class LinearPatchifier(Patchifier):
    """One linear layer down, one up; the time embedding is added to every patch before the first.

    Args:
        width: D.
        size: Height and width of a latent.
        channels: C.
        patch: Latent pixels along the side of a patch.
        position_embedding: Whether a trained vector for each position of the grid is added after
            the first layer. The papers mention the rotary embedding alone, which gives a patch its
            distance from others, but hardly its position: our choice.
        gain: Factor on the first layer's initial weights; below 1, noise hides less of time and
            position.
    """

    def __init__(
        self,
        width: int,
        size: int = 32,
        channels: int = 8,
        patch: int = 2,
        position_embedding: bool = False,
        gain: float = 1.0,
    ):
        super().__init__(channels, size, patch)
        self.patch = patch
        inputs = channels * patch * patch
        self.time = TimeEmbedding(inputs)
        self.encode = nn.Linear(inputs, width)
        with torch.no_grad():
            self.encode.weight.mul_(gain)
        self.decode = zero(nn.Linear(width, inputs))
        self.place_nD: nn.Parameter | None = None
        if position_embedding:
            waves_nD = grid_waves(self.side, width).to(self.encode.weight.dtype)
            self.place_nD = nn.Parameter(waves_nD)

    @override
    def down(self, latent_ICHW: Tensor, step_I: Tensor) -> tuple[Tensor, Skips]:
        self.check(latent_ICHW)
        pixel = F.pixel_unshuffle(latent_ICHW, self.patch).flatten(2).transpose(1, 2)
        patch_InD = self.encode(pixel + self.time(step_I)[:, None])
        if self.place_nD is not None:
            patch_InD = patch_InD + self.place_nD.to(patch_InD.dtype)
        return patch_InD.flatten(0, 1), []

    @override
    def up(self, hidden_PD: Tensor, step_I: Tensor, skips: Skips) -> Tensor:
        pixel = self.decode(hidden_PD).unflatten(0, (-1, self.num_patches)).transpose(1, 2)
        return F.pixel_shuffle(pixel.unflatten(2, (self.side, self.side)), self.patch)


def grid_waves(side: int, width: int) -> Tensor:
    """Sines and cosines of the column and row of each position of a square grid, [side^2, width].

    Raises:
        ValueError: The width is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"position_embedding needs a width that is a multiple of 4, got {width}")
    rate_K = 100.0 ** (-torch.arange(width // 4).float() / (width // 4))
    row_n, column_n = torch.arange(side).repeat_interleave(side), torch.arange(side).repeat(side)
    angles = [axis_n[:, None] * rate_K for axis_n in (column_n, row_n)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)


def zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias set to zero: initially its output is zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
