"""Drawing and writing with a key-value cache (Transfusion, sec. 3, "Inference").

Text is written token by token. An image starts as noise in the places of its patches; every
denoising step overwrites them, so that the network never sees an older step.

Shape legend: R = sequences, B = prompts; R = 2 B where guidance needs each without its text.
"""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.diffusion.limit import Limit
from modules.diffusion.noise import gaussian
from modules.diffusion.process import Prediction
from modules.diffusion.sampler import Sampler
from modules.diffusion.schedule import Schedule
from modules.diffusion.solver import DPMSolver, Solver
from modules.diffusion.spacing import Spacing
from modules.lmfusion.cache import Cache
from modules.lmfusion.network import BOI, EOI, FusionNetwork

Want = Literal["image", "text", "both"]


class Prompt(TypedDict):
    """What stands already, and what shall follow.

    Attributes:
        name: For messages and files.
        segments: Token ids [t], the first led by the start token, and clean latents [C, H, W].
        want: An image, text, or text in which the network places images itself.
    """

    name: str
    segments: list[Tensor]
    want: Want


@dataclass(frozen=True)
class Generation:
    """How images are drawn and text is written.

    Attributes:
        num_steps: Denoising steps of an image.
        guidance: Classifier-free guidance; without their text, images that stand before it stay.
        solver: Rule of a denoising step.
        spacing: Which of the schedule's steps are visited.
        limit: Keeps predicted clean latents in the range of the data.
        max_new_tokens: Tokens of a text, at most.
        max_images: Images that the network may place in one document.
        temperature: Divides the logits; 0 takes the most likely token, as the paper does.
        seed: Of the noise; prompt number i of a run always starts from the same.
    """

    num_steps: int = 50
    guidance: Guidance = field(default_factory=lambda: Guidance(3.0))
    solver: Solver = field(default_factory=DPMSolver)
    spacing: Spacing = "trailing"
    limit: Limit | None = None
    max_new_tokens: int = 64
    max_images: int = 4
    temperature: float = 0.0
    seed: int = 0

    def sampler(self, schedule: Schedule, prediction: Prediction) -> Sampler:
        """The sampler for a network that predicts so under that schedule."""
        return Sampler(schedule, prediction, self.solver, self.num_steps, self.spacing, self.limit)


class Canvas:
    """Documents that grow by text and images, all by the same kind at a time.

    Args:
        network: The network.
        num_rows: R.
        num_slots: Positions that the longest document may reach.
        device: Where the network is.
    """

    def __init__(self, network: FusionNetwork, num_rows: int, num_slots: int):
        self.network = network
        self.cache: Cache = network.empty_cache(num_rows, num_slots)
        self.device = self.cache.length_B.device
        self.num_rows = num_rows

    def read(self, texts: list[Tensor]) -> Tensor:
        """Add one text to each document; hidden state [R, D] of each text's last token."""
        count = torch.tensor([len(text) for text in texts])
        token = torch.zeros(len(texts), int(count.max()), dtype=torch.int64)
        for row, text in zip(token, texts, strict=True):
            row[: len(text)] = text
        count = count.to(self.device)
        hidden = self.network.extend_text(token.to(self.device), self.cache, count)
        return hidden[torch.arange(len(texts)), (count - 1).clamp(min=0)]

    def mark(self, code: int) -> Tensor:
        """Add `BOI` or `EOI` to every document."""
        return self.read([torch.tensor([code])] * self.num_rows)

    def look(self, latent: Tensor) -> Tensor:
        """Add a clean image [C, H, W] to each of R documents, marks included."""
        self.mark(BOI)
        self.place(latent)
        return self.mark(EOI)

    def place(self, latent: Tensor) -> None:
        """Keep clean patches in the place of whatever was drawn there."""
        step = torch.zeros(len(latent), dtype=torch.int64, device=self.device)
        self.network.extend_image(latent.to(self.device), step, self.cache, keep=True)

    def draw(self, noise: Tensor, sampler: Sampler, guidance: Guidance) -> Tensor:
        """Draw an image at the end of each document, which `BOI` has opened; latents of B.

        Args:
            noise: Standard normal, for the first B documents.
            sampler: How.
            guidance: If on, the second half of the documents are the first without their text.
        """

        def predict(x_t: Tensor, step: Tensor) -> Tensor:
            return self.network.extend_image(x_t, step, self.cache, keep=False)

        x_0 = sampler.sample(guidance.wrap(predict), noise)
        self.place(torch.cat([x_0] * (self.num_rows // len(x_0))))
        return x_0


def without_text(segments: list[Tensor]) -> list[Tensor]:
    """A prompt with the start token and its images alone."""
    first, *rest = segments
    return [first[:1], *(s[:0] if s.ndim == 1 else s for s in rest)]


def feed(canvas: Canvas, rows: list[list[Tensor]]) -> Tensor | None:
    """Add all segments of documents of one structure; last hidden states where text ends them."""
    hidden = None
    for segments in zip(*rows, strict=True):
        if segments[0].ndim > 1:
            hidden = canvas.look(torch.stack(segments))
        elif any(len(segment) for segment in segments):
            hidden = canvas.read(list(segments))
    return hidden


def length(segments: list[Tensor], num_patches: int) -> int:
    """Positions of a document."""
    return sum(len(s) if s.ndim == 1 else num_patches + 2 for s in segments)


@torch.no_grad()
def draw(
    network: FusionNetwork,
    prompts: list[list[Tensor]],
    shape: tuple[int, ...],
    sampler: Sampler,
    guidance: Guidance,
    generators: list[torch.Generator],
) -> Tensor:
    """One image after each prompt.

    Args:
        network: The network.
        prompts: Segments of B prompts of one structure: texts and images in the same places.
        shape: Of a latent, (C, H, W).
        sampler: How to denoise.
        guidance: How far to lean on the text.
        generators: One a prompt.

    Returns:
        Latents [B, C, H, W].
    """
    rows = prompts + [without_text(p) for p in prompts] if guidance.is_on else prompts
    num = network.patchifier.num_patches
    canvas = Canvas(network, len(rows), max(length(r, num) for r in rows) + num + 2)
    feed(canvas, rows)
    canvas.mark(BOI)
    noise = gaussian((len(prompts), *shape), generators, canvas.device)
    return canvas.draw(noise, sampler, guidance)


@torch.no_grad()
def write(
    network: FusionNetwork, prompts: list[list[Tensor]], how: Generation, end: int
) -> list[list[int]]:
    """Text after each prompt, until its end token; images are not placed.

    Args:
        network: The network.
        prompts: Segments of prompts of one structure.
        how: Length and temperature.
        end: Token id that ends a text.

    Returns:
        Token ids without the end.
    """
    num = network.patchifier.num_patches
    slots = max(length(p, num) for p in prompts) + how.max_new_tokens
    canvas = Canvas(network, len(prompts), slots)
    hidden = feed(canvas, prompts)
    assert hidden is not None
    written: list[list[int]] = [[] for _ in prompts]
    running = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(how.max_new_tokens):
        token = choose(network.logits(hidden)[:, :-1], how.temperature).cpu()
        running &= token != end
        if not running.any():
            break
        for row in running.nonzero().flatten().tolist():
            written[row].append(int(token[row]))
        hidden = canvas.read([t[None][: int(r)] for t, r in zip(token, running, strict=True)])
    return written


def choose(logits_BV: Tensor, temperature: float) -> Tensor:
    """The next element of each document, [B]."""
    if temperature == 0:
        return logits_BV.argmax(-1)
    return torch.multinomial((logits_BV / temperature).softmax(-1), 1)[:, 0]


@torch.no_grad()
def continue_document(
    network: FusionNetwork,
    segments: list[Tensor],
    shape: tuple[int, ...],
    sampler: Sampler,
    how: Generation,
    end: int,
    generator: torch.Generator,
) -> list[Tensor]:
    """Text and images as the network places them: `BOI`, once written, starts an image.

    Args:
        network: The network.
        segments: The document so far.
        shape: Of a latent, (C, H, W).
        sampler: How to denoise.
        how: Bounds, temperature and guidance.
        end: Token id that ends the document.
        generator: Of the noise.

    Returns:
        What was added: token ids and latents.
    """
    rows = [segments, without_text(segments)] if how.guidance.is_on else [segments]
    num = network.patchifier.num_patches
    slots = length(segments, num) + how.max_new_tokens + how.max_images * (num + 2)
    canvas = Canvas(network, len(rows), slots)
    hidden = feed(canvas, rows)
    assert hidden is not None
    added: list[Tensor] = []
    text: list[int] = []
    num_images = 0
    for _ in range(how.max_new_tokens):
        token = int(choose(network.logits(hidden[:1]), how.temperature))
        is_image = token == network.embed.num_embeddings
        if token == end or (is_image and num_images == how.max_images):
            break
        if not is_image:
            text.append(token)
            hidden = canvas.read(
                [torch.tensor([token])] + [torch.tensor([]).long()] * (len(rows) - 1)
            )
            continue
        canvas.mark(BOI)
        noise = gaussian((1, *shape), [generator], canvas.device)
        added += [torch.tensor(text), canvas.draw(noise, sampler, how.guidance)[0]]
        text, num_images = [], num_images + 1
        hidden = canvas.mark(EOI)
    return [*added, torch.tensor(text)]
