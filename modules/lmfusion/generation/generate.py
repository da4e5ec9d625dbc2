"""Generation of images and text with a key-value cache (Transfusion, sec. 3, "Inference").

Text is generated token by token. An image starts as noise at the positions of its patches; every
denoising step overwrites them, so that the network never sees an earlier step.

Shape legend: R = sequences, B = prompts; R = 2 B where guidance needs each without its text;
D = width, V = vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.diffusion.process import Prediction
from modules.diffusion.projection import Limit
from modules.diffusion.sampler import Sampler
from modules.diffusion.schedule import Schedule
from modules.diffusion.solver import DPMSolver, Solver
from modules.diffusion.timesteps import Spacing
from modules.lmfusion.generation.session import Session, feed, length, without_text
from modules.lmfusion.network.fusion import FusionNetwork
from modules.nn.generators import draw as pick

Want = Literal["image", "text", "both"]


class DocumentPrompt(TypedDict):
    """A document so far, and what shall follow.

    Attributes:
        name: Name in messages and files.
        number: Index among all prompts; with the seed it determines the samples.
        segments: Token ids [t], the first led by the start token, and clean latents [C, H, W].
        want: An image, text, or both: text in which the network itself opens images.
    """

    name: str
    number: int
    segments: list[Tensor]
    want: Want


@dataclass(frozen=True)
class Generation:
    """Options of generation.

    Attributes:
        num_steps: Denoising steps of an image.
        guidance: Classifier-free guidance; the unconditional prompt keeps its images, not its text.
        solver: Update rule of a denoising step.
        spacing: Which of the schedule's steps are visited. None is "leading" if the network
            predicts eps, which determines little of an image at the noisy end, else "trailing".
        first: The noisiest step that is visited; None for the schedule's last.
        limit: Keeps predicted clean latents in the range of the data.
        max_new_tokens: Most tokens of a text; in a text with images each image counts as one.
        max_images: Most images that the network may open in one document.
        temperature: Divides the logits; 0 is greedy decoding, as in the paper.
        seed: Seed of noise and sampled tokens; prompt i of a run always gets the same.
    """

    num_steps: int = 50
    guidance: Guidance = field(default_factory=lambda: Guidance(3.0))
    solver: Solver = field(default_factory=DPMSolver)
    spacing: Spacing | None = None
    first: int | None = None
    limit: Limit | None = None
    max_new_tokens: int = 64
    max_images: int = 4
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, least in (("num_steps", 1), ("max_new_tokens", 1), ("max_images", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")

    def sampler(self, schedule: Schedule, prediction: Prediction) -> Sampler:
        """The sampler for a kind of prediction and a schedule.

        Raises:
            ValueError: The schedule has no such steps, or they would amplify the network's error.
        """
        spacing = self.spacing or ("leading" if prediction == "eps" else "trailing")
        steps = self.num_steps, spacing
        return Sampler(schedule, prediction, self.solver, *steps, self.limit, self.first)


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
        prompts: Segments of B prompts of equal structure: texts and images in the same order.
        shape: (C, H, W) of a latent.
        sampler: The diffusion sampler.
        guidance: Classifier-free guidance.
        generators: One a prompt.

    Returns:
        Latents [B, C, H, W].
    """
    rows = prompts + [without_text(p) for p in prompts] if guidance.is_on else prompts
    num = network.patchifier.num_patches
    session = Session(network, len(rows), max(length(r, num) for r in rows) + num + 2)
    feed(session, rows)
    return session.draw(shape, sampler, guidance, generators)


@torch.no_grad()
def write(
    network: FusionNetwork,
    prompts: list[list[Tensor]],
    how: Generation,
    end: int,
    generators: list[torch.Generator],
) -> list[Tensor]:
    """Text after each prompt, up to its end token, without images.

    Args:
        network: The network.
        prompts: Segments of prompts of equal structure.
        how: Length and temperature.
        end: Token id that ends a text.
        generators: One a prompt, for sampled tokens.

    Returns:
        Token ids of each, without the end token.
    """
    num = network.patchifier.num_patches
    slots = max(length(p, num) for p in prompts) + how.max_new_tokens
    session = Session(network, len(prompts), slots)
    feed(session, prompts)
    written: list[list[int]] = [[] for _ in prompts]
    running = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(how.max_new_tokens):
        logits_BV = network.logits(session.hidden_RD)[:, :-1]
        token = choose(logits_BV, how.temperature, generators)
        running &= token != end
        if not running.any():
            break
        for row in running.nonzero().flatten().tolist():
            written[row].append(int(token[row]))
        session.read([t[None][: int(r)] for t, r in zip(token, running, strict=True)])
    return [torch.tensor(ids, dtype=torch.int64) for ids in written]


def choose(logits_BV: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
    """The next token of each document, [B], on the CPU."""
    if temperature == 0:
        return logits_BV.argmax(-1).cpu()
    share_BV = (logits_BV.float() / temperature).softmax(-1).cpu()
    return pick(share_BV, generators)


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
    """Text and images: wherever the network writes `BOI`, an image is generated.

    Args:
        network: The network.
        segments: The document so far.
        shape: (C, H, W) of a latent.
        sampler: The diffusion sampler.
        how: Bounds, temperature and guidance.
        end: Token id that ends the document.
        generator: Generator of noise and sampled tokens.

    Returns:
        The continuation: token ids and latents.
    """
    rows = [segments, without_text(segments)] if how.guidance.is_on else [segments]
    num = network.patchifier.num_patches
    slots = length(segments, num) + how.max_new_tokens + how.max_images * (num + 2)
    session = Session(network, len(rows), slots)
    feed(session, rows)
    added, text, num_images = [], torch.empty(0, dtype=torch.int64), 0
    for _ in range(how.max_new_tokens):
        token = choose(network.logits(session.hidden_RD[:1]), how.temperature, [generator])
        is_image = int(token) == network.embed.num_embeddings
        if int(token) == end or (is_image and num_images == how.max_images):
            break
        if not is_image:
            text = torch.cat([text, token])
            session.read([token, *[token[:0]] * (len(rows) - 1)])  # no text without condition
            continue
        image = session.draw(shape, sampler, how.guidance, [generator])
        session.keep_image(image)
        added += [text, image[0]]
        text, num_images = text[:0], num_images + 1
    return [*added, text]
