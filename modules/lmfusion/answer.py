"""Prompts of any structure, answered in batches of one structure."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from modules.diffusion.sampler import Sampler
from modules.lmfusion.generate import Generation, Prompt, continue_document, draw, write
from modules.lmfusion.network import FusionNetwork


def answer(
    network: FusionNetwork,
    prompts: Sequence[Prompt],
    shape: tuple[int, ...],
    sampler: Sampler,
    how: Generation,
    end: int,
    numbers: Sequence[int] | None = None,
) -> list[list[Tensor]]:
    """What follows each prompt: token ids [t] and clean latents [C, H, W].

    Args:
        network: The network.
        prompts: What stands already and what is wanted.
        shape: Of a latent, (C, H, W).
        sampler: How to denoise.
        how: Lengths, temperature, guidance and seed.
        end: Token id that ends a text.
        numbers: Number of each prompt; it and the seed decide the noise. 0, 1, ... where None.
    """
    numbers = range(len(prompts)) if numbers is None else numbers
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        alike[structure(prompt)].append(place)
    answers: list[list[Tensor]] = [[] for _ in prompts]
    for (want, *_), places in alike.items():
        segments = [prompts[place]["segments"] for place in places]
        dice = [generator(how.seed, numbers[place]) for place in places]
        if want == "image":
            drawn = draw(network, segments, shape, sampler, how.guidance, dice)
            found = [[latent] for latent in drawn]
        elif want == "text":
            found = [[torch.tensor(ids)] for ids in write(network, segments, how, end)]
        else:
            found = [
                continue_document(network, one, shape, sampler, how, end, die)
                for one, die in zip(segments, dice, strict=True)
            ]
        for place, one in zip(places, found, strict=True):
            answers[place] = one
    return answers


def structure(prompt: Prompt) -> tuple[object, ...]:
    """What two prompts must share to be answered in one batch."""
    return (prompt["want"], *(segment.ndim for segment in prompt["segments"]))


def generator(seed: int, number: int) -> torch.Generator:
    """The noise of one prompt, whatever batch it is in."""
    return torch.Generator().manual_seed(seed * 1_000_003 + number)
