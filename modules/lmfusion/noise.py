"""Steps and noise of the images of a batch (Transfusion, sec. 2.2, 3 and 4.1). I = images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.diffusion.process import Prediction, add_noise, target
from modules.diffusion.schedule import Schedule
from modules.lmfusion.network.mask import IMAGE, Runs
from modules.nn.generators import generator_of

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator for the batch, one for each image, or torch's global one (None)."""
NEARLY_CLEAN = 0.95
"""Least signal at step 1 for which training on noisy images carries over to clean ones."""


@dataclass(frozen=True)
class Noised:
    """Noised images.

    Attributes:
        latent_ICHW: x_t; clean for context images.
        step_I: t; 0 for context images.
        target_ICHW: What the network predicts.
        abar_I: Signal left, abar.
    """

    latent_ICHW: Tensor
    step_I: Tensor
    target_ICHW: Tensor
    abar_I: Tensor


def draw_steps(
    is_target_I: Tensor,
    is_first_I: Tensor,
    num_steps: int,
    limit: int | None,
    generator: Generators = None,
) -> Tensor:
    """One step for each image, spread evenly over the batch.

    The steps of a batch are strata: image i of I draws from the i-th of I equal parts of the
    schedule, in shuffled order, so that every batch covers all noise levels; the step of a single
    image is still uniform. With one generator for each image, images draw independently.

    Args:
        is_target_I: False for context images, whose step is 0.
        is_first_I: Whether an image comes before its caption.
        num_steps: T.
        limit: Largest step of images that come first (Transfusion, table 8); None for no limit.
        generator: Generators of the draws.
    """
    uniform_I = uniforms(len(is_target_I), is_target_I.device, generator)
    largest_I = torch.full_like(uniform_I, num_steps, dtype=torch.int64)
    if limit is not None:
        largest_I = largest_I.where(~is_first_I, limit)
    step_I = (uniform_I * largest_I).long() + 1
    return step_I.minimum(largest_I).where(is_target_I, 0)  # a uniform may round up to 1


def uniforms(num: int, device: torch.device, generator: Generators) -> Tensor:
    """Numbers in [0, 1), [I]: one from each stratum, or from the generator of each image."""
    if isinstance(generator, Sequence):
        own = [torch.rand(1, generator=one, dtype=torch.float32) for one in generator]
        return torch.cat(own).to(device) if own else torch.zeros(0, device=device)
    offset = torch.rand(num, generator=generator, device=device, dtype=torch.float32)
    order = torch.randperm(num, generator=generator, device=device)
    return (order + offset) / max(1, num)


def own_generators(runs: Runs, row_D: Sequence[int]) -> list[torch.Generator]:
    """A generator for each image, seeded by the row of its document and its index in it.

    Args:
        runs: The segments of a batch.
        row_D: Row of each document in its set, independent of batch and rank.
    """
    found, num = list[torch.Generator](), Counter[int]()
    for kind, document in zip(runs.kind_N, runs.document_N, strict=True):
        if kind == IMAGE:
            found.append(generator_of(0, "validation", row_D[document], num[document]))
            num[document] += 1
    return found


def largest_readable_step(schedule: Schedule, least_signal: float) -> int:
    """The largest step of images that come before their captions.

    At test time the network reads clean images, step 0. Training on slightly noisy images carries
    over only if the first step of the schedule is nearly clean.

    Args:
        schedule: Signal left at each step.
        least_signal: Least signal left, abar, in such an image; 1 leaves it clean.

    Raises:
        ValueError: The schedule has no such step, or step 1 is far from clean.
    """
    if least_signal == 1:
        return 0
    signal = schedule.signal(torch.arange(schedule.num_steps + 1))
    first = float(signal[1])
    if first < max(least_signal, NEARLY_CLEAN):
        raise ValueError(
            f"images before their captions cannot be noised: step 1 of the schedule leaves only "
            f"{first:.3f} of the signal, and they are read at step 0, where all of it is left; "
            "show them clean (read_signal: 1 where x_0 is predicted, or "
            "data.init_args.image_first: clean)"
        )
    return int((signal >= least_signal).sum()) - 1


def add(
    latent_ICHW: Tensor,
    step_I: Tensor,
    schedule: Schedule,
    kind: Prediction,
    generator: Generators = None,
) -> Noised:
    """Noise images to their steps.

    Args:
        latent_ICHW: Clean latents.
        step_I: Steps, 0 for context.
        schedule: Signal left at each step.
        kind: What the network predicts.
        generator: Generators of the noise.
    """
    noise = normals(latent_ICHW, generator)
    abar_I = schedule.signal(step_I)
    noised = add_noise(latent_ICHW, noise, abar_I)
    return Noised(noised, step_I, target(kind, latent_ICHW, noise, abar_I), abar_I)


def normals(like_ICHW: Tensor, generator: Generators) -> Tensor:
    """Standard normal noise of the shape of the images, from the given generators."""
    shape, device, dtype = like_ICHW.shape, like_ICHW.device, like_ICHW.dtype
    if isinstance(generator, Sequence):
        own = [torch.randn(shape[1:], generator=one, dtype=dtype) for one in generator]
        return torch.stack(own).to(device) if own else torch.zeros_like(like_ICHW)
    return torch.randn(shape, generator=generator, device=device, dtype=dtype)
