"""Peak signal-to-noise ratio of images and of the frames of clips."""

import torch
from torch import Tensor

PEAK = 255.0


def psnr(shown: Tensor, wanted: Tensor, num_dims: int = 3) -> Tensor:
    """Similarity of images to their targets: 20 log10 of the peak over the root of the mean square.

    Args:
        shown: Values from 0 to 255, [..., H, W, C].
        wanted: The same of what they should be.
        num_dims: Axes of one image.

    Returns:
        Decibels, float64, of each image; infinite where both are the same.

    Raises:
        ValueError: The shapes differ; says both.
    """
    if shown.shape != wanted.shape:
        raise ValueError(f"images are {tuple(shown.shape)}, wanted are {tuple(wanted.shape)}.")
    square = (shown.double() - wanted.double()).square().flatten(-num_dims).mean(-1)
    return 10 * torch.log10(PEAK**2 / square)
