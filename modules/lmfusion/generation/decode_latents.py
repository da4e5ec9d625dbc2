"""Decoding latents to pixels. Shape legend: N = images; C, H, W = channels and size of a latent."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from modules.weights.origin import located, read


class Pixels:
    """Decodes latents to pixels.

    Args:
        vae: Local folder or hub id of the diffusers AutoencoderKL that made the latents; read when
            first needed. None if latents are pixels in [-1, 1].
    """

    def __init__(self, vae: str | None = None):
        self.vae = vae

    @cached_property
    def model(self) -> Any:
        """The autoencoder, frozen.

        Raises:
            FileNotFoundError: The local folder does not exist.
            ValueError: It holds no such autoencoder.
        """
        assert self.vae is not None
        located(self.vae, "AutoencoderKL")
        from diffusers import AutoencoderKL  # takes seconds

        model = read(AutoencoderKL, self.vae, "AutoencoderKL", torch_dtype=torch.float32)
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def of(self, latent_NCHW: Tensor) -> Tensor:
        """Pictures, uint8 [N, height, width, 3], on the CPU.

        Raises:
            ValueError: The latents are not pixels, and there is no autoencoder.
        """
        if self.vae is None and latent_NCHW.shape[1] != 3:
            raise ValueError(
                f"latents of {latent_NCHW.shape[1]} channels are no images: name the autoencoder "
                "that made them in model.init_args.vae"
            )
        pixel = latent_NCHW.float() if self.vae is None else self.decode(latent_NCHW.float())
        pixel = (pixel.clamp(-1, 1) + 1) * 127.5
        return pixel.round().byte().permute(0, 2, 3, 1).cpu()

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Pixels of scaled latents, one image at a time, in single precision."""
        model = self.model.to(latent_NCHW.device)
        scale, shift = model.config.scaling_factor, model.config.shift_factor or 0.0
        with torch.autocast(latent_NCHW.device.type, enabled=False):
            latents = (latent_NCHW / scale + shift).split(1)
            return torch.cat([model.decode(latent).sample for latent in latents])
