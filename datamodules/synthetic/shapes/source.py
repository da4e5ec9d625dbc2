"""Captioned shapes as a source of images and captions."""

import json
from random import Random

from typing_extensions import override

from datamodules.images.source import ImageSource, Pair
from datamodules.synthetic.shapes.captions import GRAMMAR, caption
from datamodules.synthetic.shapes.render import render
from datamodules.synthetic.shapes.scenes import Part, scene


class ShapePairs(ImageSource):
    """Images of one or two shapes, rendered on demand; needs no file.

    Args:
        num: Number of scenes.
        seed: Seed of the scenes; use different ones for training and test.
        part: Which pairs of colour and form may occur.
        num_shapes: Shapes of every scene; None draws one or two.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1.
    """

    def __init__(
        self,
        num: int,
        seed: int = 0,
        part: Part = "train",
        num_shapes: int | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        self.num = num
        self.seed = seed
        self.part: Part = part
        self.num_shapes = num_shapes

    @property
    @override
    def name(self) -> str:
        shapes = "" if self.num_shapes is None else f":{self.num_shapes}"
        return f"shapes:{self.part}:{self.num}:{self.seed}{shapes}"

    @override
    def fingerprint(self) -> str:
        return json.dumps(["ShapePairs", GRAMMAR, self.name])

    @override
    def __len__(self) -> int:
        return self.num

    @override
    def location(self, index: int) -> str:
        return f"{self.name}:{index + 1}"

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        """One scene; every draw of it may word the caption differently."""
        shown = scene(self.seed, index, self.part, self.num_shapes)
        return Pair(render(shown), [caption(shown, rng)])
