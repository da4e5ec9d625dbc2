"""Generation for prompts of any structure, in batches of equal structure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.diffusion.sampler import Sampler
from modules.lmfusion.generation.decode_latents import Pixels
from modules.lmfusion.generation.generate import (
    DocumentPrompt,
    Generation,
    continue_document,
    draw,
    write,
)
from modules.lmfusion.generation.lockstep import Lockstep
from modules.lmfusion.network.fusion import FusionNetwork
from modules.nn.generators import generator_of


@dataclass(frozen=True)
class GenerationPipeline:
    """Continues prompts with text and images.

    Attributes:
        network: The network.
        tokenizer: A transformers tokenizer; its end-of-text token ends a text.
        pixels: Decodes latents to pixels.
        sampler: The diffusion sampler.
        how: Lengths, temperature, guidance and seed.
    """

    network: FusionNetwork
    tokenizer: Any
    pixels: Pixels
    sampler: Sampler
    how: Generation

    def answer(self, prompts: Sequence[DocumentPrompt]) -> list[list[Tensor]]:
        """Continuation of each prompt: token ids and latents."""
        shape, end = self.network.patchifier.shape, self.tokenizer.eos_token_id
        return answer(self.network, prompts, shape, self.sampler, self.how, end)

    def records(self, prompts: Sequence[DocumentPrompt]) -> list[dict[str, Any]]:
        """Name, prompt and continuation of each, as texts and images, uint8 [H, W, 3]."""
        return [
            {
                "name": prompt["name"],
                "prompt": self.shown(prompt["segments"]),
                "continuation": self.shown(added),
            }
            for prompt, added in zip(prompts, self.answer(prompts), strict=True)
        ]

    def shown(self, segments: Sequence[Tensor]) -> list[str | Tensor]:
        """Token ids as texts and latents as images, in order, without empty texts."""
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
        prompts: list[DocumentPrompt] = []
        for number, caption in enumerate(captions):
            ids = [start, *self.tokenizer.encode(caption, add_special_tokens=False)]
            segments = [torch.tensor(ids)]
            prompts.append(
                DocumentPrompt(name=caption, number=number, segments=segments, want="image")
            )
        return self.pixels.of(torch.stack([added[0] for added in self.answer(prompts)]))


def answer(
    network: FusionNetwork,
    prompts: Sequence[DocumentPrompt],
    shape: tuple[int, ...],
    sampler: Sampler,
    how: Generation,
    end: int,
) -> list[list[Tensor]]:
    """Continuation of each prompt: token ids [t] and clean latents [C, H, W].

    Args:
        network: The network.
        prompts: The prompts.
        shape: (C, H, W) of a latent.
        sampler: The diffusion sampler.
        how: Lengths, temperature, guidance and seed.
        end: Token id that ends a text.
    """
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        alike[structure(prompt)].append(index)
    answers: list[list[Tensor]] = [[] for _ in prompts]
    for (want, *_), indices in alike.items():
        segments = [prompts[index]["segments"] for index in indices]
        own = [generator(how.seed, prompts[index]["number"]) for index in indices]
        if want == "image":
            drawn = draw(network, segments, shape, sampler, how.guidance, own)
            added = [[latent] for latent in drawn]
        elif want == "text":
            added = [[text] for text in write(network, segments, how, end, own)]
        else:
            added = [
                continue_document(network, document, shape, sampler, how, end, rng)
                for document, rng in zip(segments, own, strict=True)
            ]
        for index, answer_of_prompt in zip(indices, added, strict=True):
            answers[index] = answer_of_prompt
    Lockstep(network).wait()
    return answers


def structure(prompt: DocumentPrompt) -> tuple[object, ...]:
    """What prompts must share to be answered in one batch."""
    return (prompt["want"], *(segment.ndim for segment in prompt["segments"]))


def generator(seed: int, number: int) -> torch.Generator:
    """The generator of one prompt, whatever batch it is in."""
    return generator_of(seed, number)
