"""Documents that grow, with a key-value cache.

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
    """Documents that grow by text and images, all by the same kind at a time.

    Args:
        network: The network.
        num_rows: R.
        num_slots: Positions that the longest document may reach.

    Attributes:
        hidden_RD: State of the last text of each document, from which goes on what is written.
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
        """Add one text to each document; an empty one changes nothing."""
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
        """Add `BOI` or `EOI` to every document."""
        self.read([torch.tensor([code])] * self.num_rows)

    def look(self, latent: Tensor) -> None:
        """Add a clean image [C, H, W] to each of R documents, marks included."""
        self.mark(BOI)
        self.place(latent)
        self.mark(EOI)

    def place(self, latent: Tensor) -> None:
        """Keep clean patches in the place of whatever was drawn there."""
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
        """Draw an image at the end of each document, marks included; latents of B.

        Samples are kept at least in single precision, whatever the network computes in.

        Args:
            shape: Of a latent, (C, H, W).
            sampler: How.
            guidance: If on, the second half of the documents are the first without their text.
            generators: One for each of the first B documents.
        """
        self.mark(BOI)

        def predict(x_t: Tensor, step: Tensor) -> Tensor:
            self.lockstep.step()
            return self.network.extend_image(x_t.to(self.dtype), step, self.cache, keep=False)

        dtype = torch.promote_types(self.dtype, torch.float32)
        noise = gaussian((len(generators), *shape), generators, self.device, dtype)
        return sampler.sample(guidance.wrap(predict), noise, generators)

    def keep(self, latent: Tensor) -> None:
        """Let what was drawn stand in all documents, so that text can follow."""
        self.place(torch.cat([latent] * (self.num_rows // len(latent))))
        self.mark(EOI)


def without_text(segments: list[Tensor]) -> list[Tensor]:
    """A prompt with the start token and its images alone."""
    first, *rest = segments
    return [first[:1], *(s[:0] if s.ndim == 1 else s for s in rest)]


def feed(session: Session, rows: list[list[Tensor]]) -> None:
    """Add all segments of documents of one structure."""
    for segments in zip(*rows, strict=True):
        if segments[0].ndim > 1:
            session.look(torch.stack(segments))
        elif any(len(segment) for segment in segments):
            session.read(segments)


def length(segments: list[Tensor], num_patches: int) -> int:
    """Positions of a document."""
    return sum(len(s) if s.ndim == 1 else num_patches + 2 for s in segments)
