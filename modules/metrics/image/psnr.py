"""Peak signal-to-noise ratio of pictures and of the frames of clips."""

import torch
from torch import Tensor

PEAK = 255.0


def psnr(shown: Tensor, wanted: Tensor, num_dims: int = 3) -> Tensor:
    """How near pictures are to those wanted: 20 log10 of the peak over the root of the mean square.

    Args:
        shown: Values from 0 to 255, [..., H, W, C].
        wanted: The same of what they should be.
        num_dims: Of one picture.

    Returns:
        Decibels, float64, of each picture; infinite where both are the same.

    Raises:
        ValueError: The shapes differ; says both.
    """
    if shown.shape != wanted.shape:
        raise ValueError(f"pictures are {tuple(shown.shape)}, wanted are {tuple(wanted.shape)}.")
    square = (shown.double() - wanted.double()).square().flatten(-num_dims).mean(-1)
    return 10 * torch.log10(PEAK**2 / square)
