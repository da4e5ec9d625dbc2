"""Documents that are extended step by step, with a key-value cache.

Shape legend: R = sequences, B = prompts; R = 2 B where guidance needs each without its text;
D = width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.diffusion.noise import gaussian
from modules.diffusion.sampler import Sampler
from modules.lmfusion.generation.lockstep import Lockstep
from modules.lmfusion.network.fusion import BOI, EOI, FusionNetwork
from modules.lmfusion.network.kv_cache import Cache


class Session:
    """A batch of documents, extended by text or by images, all by the same kind at a time.

    Args:
        network: The network.
        num_rows: R.
        num_slots: Most positions of a document.

    Attributes:
        hidden_RD: Hidden state of the last text position of each document.
    """

    def __init__(self, network: FusionNetwork, num_rows: int, num_slots: int):
        self.network = network
        network.check_range(num_slots)
        self.cache: Cache = network.empty_cache(num_rows, num_slots)
        self.device = self.cache.length_B.device
        self.dtype = network.mark.dtype
        self.num_rows = num_rows
        self.lockstep = Lockstep(network)
        self.hidden_RD = torch.empty(0)

    def read(self, texts: Sequence[Tensor]) -> None:
        """Append a text to each document; empty texts change nothing."""
        count = torch.tensor([len(text) for text in texts])
        token = torch.zeros(len(texts), int(count.max()), dtype=torch.int64)
        for row, text in zip(token, texts, strict=True):
            row[: len(text)] = text
        count = count.to(self.device)
        self.lockstep.step()
        hidden_RQD = self.network.extend_text(token.to(self.device), self.cache, count)
        last_RD = hidden_RQD[torch.arange(len(texts)), (count - 1).clamp(min=0)]
        before = self.hidden_RD if len(self.hidden_RD) else last_RD
        self.hidden_RD = last_RD.where((count > 0)[:, None], before)

    def mark(self, code: int) -> None:
        """Append `BOI` or `EOI` to every document."""
        self.read([torch.tensor([code])] * self.num_rows)

    def add_image(self, latent: Tensor) -> None:
        """Append a clean image to each document, with its marks; latents are [R, C, H, W]."""
        self.mark(BOI)
        self.write_patches(latent)
        self.mark(EOI)

    def write_patches(self, latent: Tensor) -> None:
        """Write clean patches over those of the last denoising step."""
        step = torch.zeros(len(latent), dtype=torch.int64, device=self.device)
        self.lockstep.step()
        self.network.extend_image(latent.to(self.device, self.dtype), step, self.cache, keep=True)

    def draw(
        self,
        shape: tuple[int, ...],
        sampler: Sampler,
        guidance: Guidance,
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Generate an image at the end of each document; latents [B, C, H, W].

        Samples have at least single precision, whatever the dtype of the network.

        Args:
            shape: (C, H, W) of a latent.
            sampler: The diffusion sampler.
            guidance: If on, the second half of the documents is the first half without its text.
            generators: One for each of the first B documents.
        """
        self.mark(BOI)

        def predict(x_t: Tensor, step: Tensor) -> Tensor:
            self.lockstep.step()
            return self.network.extend_image(x_t.to(self.dtype), step, self.cache, keep=False)

        dtype = torch.promote_types(self.dtype, torch.float32)
        noise = gaussian((len(generators), *shape), generators, self.device, dtype)
        return sampler.sample(guidance.wrap(predict), noise, generators)

    def keep_image(self, latent: Tensor) -> None:
        """Append the generated images to all documents, so that text can follow."""
        self.write_patches(torch.cat([latent] * (self.num_rows // len(latent))))
        self.mark(EOI)


def without_text(segments: list[Tensor]) -> list[Tensor]:
    """A prompt with only its start token and its images."""
    first, *rest = segments
    return [first[:1], *(s[:0] if s.ndim == 1 else s for s in rest)]


def feed(session: Session, rows: list[list[Tensor]]) -> None:
    """Append all segments of documents of equal structure."""
    for segments in zip(*rows, strict=True):
        if segments[0].ndim > 1:
            session.add_image(torch.stack(segments))
        elif any(len(segment) for segment in segments):
            session.read(segments)


def length(segments: list[Tensor], num_patches: int) -> int:
    """Positions of a document."""
    return sum(len(s) if s.ndim == 1 else num_patches + 2 for s in segments)
