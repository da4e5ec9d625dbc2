"""What a model drew and wrote of held-out scenes, read back exactly.

A held-out scene shows one colour and form whose combination training never shows.
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
"""Share of what is right, by what it is: count, colour, form, size, place, all."""
SEED = 2
"""Series of the held-out scenes; those of training and validation are others."""
BATCH = 125
"""Prompts drawn side by side."""


def held_out(num_shapes: int, num: int) -> list[Scene]:
    """Scenes in which exactly one shape is a held-out pair."""
    return [scene(SEED, index, "held_out", num_shapes) for index in range(num)]


def seen_pairs(num_shapes: int, num: int) -> list[Scene]:
    """Scenes of pairs that training shows, but none of its own scenes: the control of reading."""
    return [scene(SEED + 1, index, "train", num_shapes) for index in range(num)]


def captions(scenes: Sequence[Scene]) -> list[str]:
    """One caption each, always the same."""
    return [caption(shown, Random(f"claim/{index}")) for index, shown in enumerate(scenes)]


def mean(rates: Sequence[Rates]) -> Rates:
    """The mean, rate by rate."""
    return {name: float(np.mean([one[name] for one in rates])) for name in rates[0]}


def compare(scenes: Sequence[Scene], images: Sequence[Pixels]) -> Rates:
    """How much of each scene is found in its picture."""
    pairs = zip(scenes, images, strict=True)
    return mean([agreement(shown.shapes, read(image, limit=3)) for shown, image in pairs])


def draw(system: LMFusion, scenes: Sequence[Scene], seed: int) -> list[Pixels]:
    """Pictures of the scenes' captions, uint8 [H, W, 3] each."""
    pipeline = replace(system.pipeline, how=replace(system.generation, seed=seed))
    words = captions(scenes)
    parts = [pipeline.draw(words[at : at + BATCH]).numpy() for at in range(0, len(words), BATCH)]
    return list(np.concatenate(parts))


def write(system: LMFusion, scenes: Sequence[Scene]) -> list[str]:
    """What the model says of the scenes' pictures."""
    pipeline, side = system.pipeline, system.fusion.patchifier.size
    start = started(torch.empty(0, dtype=torch.int64), pipeline)
    prompts = [
        DocumentPrompt(
            name=str(number),
            number=number,
            segments=[start, torch.as_tensor(latent(render(shown), (3, side, side)))],
            want="text",
        )
        for number, shown in enumerate(scenes)
    ]
    found: list[str] = []
    for at in range(0, len(prompts), BATCH):
        answers = pipeline.answer(prompts[at : at + BATCH])
        found += [pipeline.tokenizer.decode(answer[0]).strip() for answer in answers]
    return found


def is_right(shown: Scene, text: str) -> bool:
    """Whether a caption says exactly what a scene shows, in any order."""
    try:
        return {*parse(text)} == {*shown.shapes}
    except ValueError:
        return False


def coded(shapes: Sequence[Shape]) -> NDArray[np.int64]:
    """Numbers of colour, form, size and place of each shape, [shapes, 4]."""
    words = [list(COLOURS), list(FORMS), list(RADII), list(PLACES)]
    return np.array(
        [
            [w.index(x) for w, x in zip(words, (s.colour, s.form, s.size, s.place), strict=True)]
            for s in shapes
        ]
    )


def nearest(scenes: Sequence[Scene], pool: Sequence[Scene]) -> Rates:
    """Rates of answering each caption with the training picture that fits it best.

    Args:
        scenes: All of one number of shapes.
        pool: Training scenes; those of the same number of shapes are searched.
    """
    number = len(scenes[0].shapes)
    alike = [one for one in pool if len(one.shapes) == number]
    code_PNA = np.array([coded(one.shapes) for one in alike])
    rates = []
    for shown in scenes:
        wanted_NA = coded(shown.shapes)
        straight = (code_PNA == wanted_NA).sum((1, 2))
        crossed = (code_PNA[:, ::-1] == wanted_NA).sum((1, 2))
        best = alike[int(np.maximum(straight, crossed).argmax())]
        rates.append(agreement(shown.shapes, best.shapes))
    return mean(rates)


def chance(scenes: Sequence[Scene], pool: Sequence[Scene]) -> Rates:
    """Rates of answering each caption with a training picture of like number, whatever it shows."""
    number = len(scenes[0].shapes)
    alike = [one for one in pool if len(one.shapes) == number]
    pairs = zip(scenes, alike[: len(scenes)], strict=True)
    return mean([agreement(shown.shapes, other.shapes) for shown, other in pairs])
