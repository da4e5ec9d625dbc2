"""Images and captions generated for held-out scenes, compared exactly with the scenes.

A held-out scene has one shape whose combination of colour and form is in no training image.

Shape legend: P = scenes of the pool, N = shapes of a scene, A = attributes of a shape.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.images.preprocess import latent
from datamodules.synthetic.shapes.captions import caption, parse
from datamodules.synthetic.shapes.recognise import agreement, read
from datamodules.synthetic.shapes.render import Pixels, render
from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, PLACES, RADII, Scene, Shape, scene
from modules.lmfusion.evaluate import started
from modules.lmfusion.generation.generate import DocumentPrompt
from modules.lmfusion.system import LMFusion

Rates = dict[str, float]
"""Share that is right, by attribute: count, colour, form, size, place, all."""
SEED = 2
"""Seed of the held-out scenes; training and validation use other seeds."""
BATCH = 125
"""Prompts generated in one call."""


def held_out(num_shapes: int, num: int) -> list[Scene]:
    """Scenes in which exactly one shape is a held-out pair."""
    return [scene(SEED, index, "held_out", num_shapes) for index in range(num)]


def seen_pairs(num_shapes: int, num: int) -> list[Scene]:
    """New scenes of pairs that training shows: the control for captioning."""
    return [scene(SEED + 1, index, "train", num_shapes) for index in range(num)]


def captions(scenes: Sequence[Scene]) -> list[str]:
    """One deterministic caption for each scene."""
    return [caption(shown, Random(f"claim/{index}")) for index, shown in enumerate(scenes)]


def mean(rates: Sequence[Rates]) -> Rates:
    """The mean of each rate."""
    return {name: float(np.mean([scene_rates[name] for scene_rates in rates])) for name in rates[0]}


def compare(scenes: Sequence[Scene], images: Sequence[Pixels]) -> Rates:
    """Mean rates of the scenes' attributes that are recognised in their images."""
    pairs = zip(scenes, images, strict=True)
    return mean([agreement(shown.shapes, read(image, limit=3)) for shown, image in pairs])


def draw(system: LMFusion, scenes: Sequence[Scene], seed: int) -> list[Pixels]:
    """Images generated from the scenes' captions, uint8 [H, W, 3] each."""
    pipeline = replace(system.pipeline, how=replace(system.generation, seed=seed))
    texts = captions(scenes)
    batches = [pipeline.draw(texts[at : at + BATCH]).numpy() for at in range(0, len(texts), BATCH)]
    return list(np.concatenate(batches))


def write(system: LMFusion, scenes: Sequence[Scene]) -> list[str]:
    """Captions that the model writes for the scenes' images."""
    pipeline, side = system.pipeline, system.fusion.patchifier.size
    start = started(torch.empty(0, dtype=torch.int64), pipeline)
    prompts = [
        DocumentPrompt(
            name=str(index),
            number=index,
            segments=[start, torch.as_tensor(latent(render(shown), (3, side, side)))],
            want="text",
        )
        for index, shown in enumerate(scenes)
    ]
    written: list[str] = []
    for at in range(0, len(prompts), BATCH):
        answers = pipeline.answer(prompts[at : at + BATCH])
        written += [pipeline.tokenizer.decode(answer[0]).strip() for answer in answers]
    return written


def is_right(shown: Scene, text: str) -> bool:
    """Whether a caption names exactly the shapes of a scene, in any order."""
    try:
        return {*parse(text)} == {*shown.shapes}
    except ValueError:
        return False


def coded(shapes: Sequence[Shape]) -> NDArray[np.int64]:
    """Indices of colour, form, size and place of each shape, [N, A]."""
    vocabularies = [list(COLOURS), list(FORMS), list(RADII), list(PLACES)]
    return np.array(
        [
            [
                values.index(value)
                for values, value in zip(
                    vocabularies, (s.colour, s.form, s.size, s.place), strict=True
                )
            ]
            for s in shapes
        ]
    )


def same_count(pool: Sequence[Scene], num_shapes: int) -> list[Scene]:
    """Scenes of the pool with this number of shapes."""
    return [candidate for candidate in pool if len(candidate.shapes) == num_shapes]


def nearest(scenes: Sequence[Scene], pool: Sequence[Scene]) -> Rates:
    """Rates of a retrieval baseline: the training image that fits each caption best.

    Args:
        scenes: All have the same number of shapes.
        pool: Training scenes; only those with as many shapes are searched.
    """
    candidates = same_count(pool, len(scenes[0].shapes))
    code_PNA = np.array([coded(candidate.shapes) for candidate in candidates])
    rates = []
    for shown in scenes:
        target_NA = coded(shown.shapes)
        in_order = (code_PNA == target_NA).sum((1, 2))
        swapped = (code_PNA[:, ::-1] == target_NA).sum((1, 2))
        best = candidates[int(np.maximum(in_order, swapped).argmax())]
        rates.append(agreement(shown.shapes, best.shapes))
    return mean(rates)


def chance(scenes: Sequence[Scene], pool: Sequence[Scene]) -> Rates:
    """Rates of a random baseline: a training image with as many shapes as the caption."""
    candidates = same_count(pool, len(scenes[0].shapes))
    pairs = zip(scenes, candidates[: len(scenes)], strict=True)
    return mean([agreement(shown.shapes, other.shapes) for shown, other in pairs])
