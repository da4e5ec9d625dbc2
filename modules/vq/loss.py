"""The objective of a VQ-VAE (van den Oord et al., 2017, eq. 3), without its second term.

log p(x | z_q) is a Gaussian's, up to constants: a squared error. The second term moves the codes,
which here are running means (app. A.1).

Shape legend: B = images, C, H, W = channels and size, D = width of a code, N = B * h * w.
"""

from torch import Tensor


def reconstruction(pixel_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Mean squared error of each image, [B]."""
    return (pixel_BCHW - target_BCHW).square().flatten(1).mean(1)


def commitment(z_ND: Tensor, quantised_ND: Tensor, num_images: int) -> Tensor:
    """|z - sg(e)|^2 of each image, averaged over positions and D, [B].

    Args:
        z_ND: What the encoder gives.
        quantised_ND: The code of each; gets no gradient.
        num_images: B.
    """
    return (z_ND - quantised_ND.detach()).square().view(num_images, -1).mean(1)
