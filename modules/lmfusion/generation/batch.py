"""Prompts of any structure, answered in batches of one structure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.diffusion.sampler import Sampler
from modules.lmfusion.generation.decode_latents import Pixels
from modules.lmfusion.generation.generate import Generation, Prompt, continue_document, draw, write
from modules.lmfusion.generation.lockstep import Lockstep
from modules.lmfusion.network.fusion import FusionNetwork
from modules.nn.generators import generator_of


@dataclass(frozen=True)
class GenerationPipeline:
    """Answers prompts in text and pictures.

    Attributes:
        network: The network.
        tokenizer: A transformers tokenizer; its end-of-text token ends a text.
        pixels: What turns latents into pictures.
        sampler: How to denoise.
        how: Lengths, temperature, guidance and seed.
    """

    network: FusionNetwork
    tokenizer: Any
    pixels: Pixels
    sampler: Sampler
    how: Generation

    def answer(self, prompts: Sequence[Prompt]) -> list[list[Tensor]]:
        """Token ids and latents that follow each prompt."""
        shape, end = self.network.patchifier.shape, self.tokenizer.eos_token_id
        return answer(self.network, prompts, shape, self.sampler, self.how, end)

    def records(self, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        """Name, prompt and continuation of each, as texts and pictures, uint8 [H, W, 3]."""
        return [
            {
                "name": prompt["name"],
                "prompt": self.shown(prompt["segments"]),
                "continuation": self.shown(added),
            }
            for prompt, added in zip(prompts, self.answer(prompts), strict=True)
        ]

    def shown(self, segments: Sequence[Tensor]) -> list[str | Tensor]:
        """Token ids as text and latents as pictures, in order; empty texts are left out."""
        parts = [
            self.pixels.of(segment[None])[0]
            if segment.ndim > 1
            else self.tokenizer.decode(segment, skip_special_tokens=True).strip()
            for segment in segments
        ]
        return [part for part in parts if not isinstance(part, str) or part]

    def draw(self, captions: Sequence[str]) -> Tensor:
        """Pictures of captions, uint8 [N, H, W, 3]."""
        start = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if start is None else start
        prompts: list[Prompt] = []
        for number, caption in enumerate(captions):
            ids = [start, *self.tokenizer.encode(caption, add_special_tokens=False)]
            segments = [torch.tensor(ids)]
            prompts.append(Prompt(name=caption, number=number, segments=segments, want="image"))
        return self.pixels.of(torch.stack([added[0] for added in self.answer(prompts)]))


def answer(
    network: FusionNetwork,
    prompts: Sequence[Prompt],
    shape: tuple[int, ...],
    sampler: Sampler,
    how: Generation,
    end: int,
) -> list[list[Tensor]]:
    """What follows each prompt: token ids [t] and clean latents [C, H, W].

    Args:
        network: The network.
        prompts: What stands already and what is wanted.
        shape: Of a latent, (C, H, W).
        sampler: How to denoise.
        how: Lengths, temperature, guidance and seed.
        end: Token id that ends a text.
    """
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        alike[structure(prompt)].append(place)
    answers: list[list[Tensor]] = [[] for _ in prompts]
    for (want, *_), places in alike.items():
        segments = [prompts[place]["segments"] for place in places]
        own = [generator(how.seed, prompts[place]["number"]) for place in places]
        if want == "image":
            drawn = draw(network, segments, shape, sampler, how.guidance, own)
            found = [[latent] for latent in drawn]
        elif want == "text":
            found = [[text] for text in write(network, segments, how, end, own)]
        else:
            found = [
                continue_document(network, one, shape, sampler, how, end, die)
                for one, die in zip(segments, own, strict=True)
            ]
        for place, one in zip(places, found, strict=True):
            answers[place] = one
    Lockstep(network).wait()
    return answers


def structure(prompt: Prompt) -> tuple[object, ...]:
    """What two prompts must share to be answered in one batch."""
    return (prompt["want"], *(segment.ndim for segment in prompt["segments"]))


def generator(seed: int, number: int) -> torch.Generator:
    """The generator of one prompt, whatever batch it is in."""
    return generator_of(seed, number)
