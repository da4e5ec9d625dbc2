"""A variational autoencoder of diffusers: images to moments, moments to latents.

Shape legend: B = batch, C = latent channels, H, W = height and width of pixels, h, w of latents.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.records.roots import located


@dataclass(frozen=True)
class Scaling:
    """What makes latents of about unit variance: z = (latent - shift) * scale.

    Attributes:
        scale: `scaling_factor` of the autoencoder's config (Rombach et al., 2022, app. G).
        shift: Its `shift_factor`, where it has one.
    """

    scale: float
    shift: float = 0.0

    def sample(self, moment: NDArray[np.floating], rng: Random | None) -> NDArray[np.float32]:
        """Scaled latents drawn from N(mean, exp(log variance)), or their mean.

        Args:
            moment: Mean and log variance, one after the other, [2C, h, w].
            rng: Generator of the draw; None takes the mean.

        Returns:
            Float32 [C, h, w].
        """
        mean, log_variance = np.split(moment.astype(np.float32), 2)
        if rng is not None:
            noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(mean.shape)
            mean = mean + np.exp(0.5 * log_variance) * noise
        return ((mean - self.shift) * self.scale).astype(np.float32)


@dataclass
class ImageVae:
    """An autoencoder with frozen weights.

    Attributes:
        name: Folder or name on the hub.
        channels: Latent channels C.
        reduction: Pixels along the side of a latent pixel, H / h.
        scaling: Scale and shift of latents.
        model: The autoencoder of diffusers.
    """

    name: str
    channels: int
    reduction: int
    scaling: Scaling
    model: Any = field(repr=False)

    @torch.no_grad()
    def moments(self, pixel_BCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean and log variance of the latents of images in [-1, 1], [B, 2C, h, w]."""
        pixels = torch.from_numpy(pixel_BCHW).to(self.model.device)
        parameters: torch.Tensor = self.model.encode(pixels).latent_dist.parameters
        return parameters.float().cpu().numpy()


def load_vae(name: str, device: str = "cpu") -> ImageVae:
    """Load an autoencoder in single precision.

    Args:
        name: Folder or name on the hub.
        device: Device to compute on.

    Raises:
        FileNotFoundError: `name` looks like a folder, but does not exist.
        ValueError: There is no AutoencoderKL of that name.
    """
    place = located(name)
    from diffusers import AutoencoderKL  # takes seconds

    try:
        model = AutoencoderKL.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise ValueError(f"no AutoencoderKL could be loaded from {name}: {error}") from error
    config = model.config
    reduction = 2 ** (len(config.block_out_channels) - 1)
    scaling = Scaling(float(config.scaling_factor), float(config.shift_factor or 0.0))
    model = model.to(device).eval().requires_grad_(False)
    return ImageVae(name, config.latent_channels, reduction, scaling, model)
