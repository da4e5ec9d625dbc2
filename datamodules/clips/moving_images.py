"""Synthetic clips: images that move over a canvas and bounce off its edges.

After Srivastava et al. (2015), whose two digits moved over 64 x 64 pixels.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

import json
from math import cos, pi, sin
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.clips.files import Clip, ClipSource
from datamodules.images.preprocess import square
from datamodules.images.source import ImageSource, Pair
from datamodules.records.errors import BadSampleError, MisfitError
from datamodules.stream.checks import check_choice

VERSION = 1
"""Raised when a clip changes, so that cached tokens are rebuilt."""


class MovingImages(ClipSource):
    """Clips in which one or more images of another source move; an index always gives the same.

    Args:
        images: The images that move; captions are ignored.
        num: Number of clips.
        seed: Seed of the clips.
        size: Side of an image that moves, in pixels.
        objects: Smallest and largest number of images in a clip.
        speed: Smallest and largest speed, in pixels per frame.
        background: Colour of the canvas. On black the brighter pixel of two covers the darker
            one, on white the darker one the brighter.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: A number is out of bounds, or the background is neither.
    """

    def __init__(
        self,
        images: ImageSource,
        num: int,
        seed: int = 0,
        size: int = 20,
        objects: tuple[int, int] = (1, 2),
        speed: tuple[float, float] = (1.0, 3.0),
        background: Literal["black", "white"] = "black",
        weight: float = 1.0,
    ):
        super().__init__(weight)
        for name, value in (("num", num), ("size", size), ("objects", objects[0])):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        for name, (least, most) in (("objects", objects), ("speed", speed)):
            if not 0 <= least <= most:
                raise ValueError(f"{name} must be two rising numbers, got {least} and {most}.")
        check_choice("background", background, ("black", "white"))
        self.images = images
        self.num = num
        self.seed = seed
        self.size = size
        self.objects = objects
        self.speed = speed
        self.background = background

    @property
    @override
    def name(self) -> str:
        return f"moving {self.images.name}:{self.num}:{self.seed}"

    @override
    def fingerprint(self) -> str:
        own = [VERSION, self.num, self.seed, self.size, *self.objects, *self.speed, self.background]
        return json.dumps(["MovingPictures", *own, self.images.fingerprint()])

    @override
    def prepare(self) -> None:
        self.images.prepare()

    @override
    def __len__(self) -> int:
        return self.num

    @override
    def location(self, index: int) -> str:
        return f"{self.name}:{index + 1}"

    @override
    def check(self, shape: tuple[int, int, int]) -> None:
        if min(shape[1:]) < self.size:
            raise MisfitError(
                f"frames are {shape[1]}x{shape[2]} pixels, too small for images of {self.size}."
            )

    @override
    def clip(self, index: int, shape: tuple[int, int, int]) -> Clip:
        self.check(shape)
        frames, *room = shape
        rng = Random(f"{self.seed}/{index}")
        is_black = self.background == "black"
        clip_THWC = np.full((*shape, 3), 0 if is_black else 255, np.uint8)
        cover = np.maximum if is_black else np.minimum
        for _ in range(rng.randint(*self.objects)):
            image_HWC = self._image(rng)
            paths = self._paths(rng, frames, [side - self.size for side in room])
            for frame_HWC, (top, left) in zip(clip_THWC, paths, strict=True):
                part_HWC = frame_HWC[top : top + self.size, left : left + self.size]
                part_HWC[...] = cover(part_HWC, image_HWC)
        return clip_THWC

    def _image(self, rng: Random) -> NDArray[np.uint8]:
        document = self.images.sample(rng.randrange(len(self.images)), rng)
        if not isinstance(document, Pair):
            raise BadSampleError("a document of several parts")
        return square(document.image, self.size)

    def _paths(self, rng: Random, frames: int, room: list[int]) -> list[tuple[int, int]]:
        """Top and left of an image in each frame."""
        angle, speed = rng.uniform(0, 2 * pi), rng.uniform(*self.speed)
        steps = speed * sin(angle), speed * cos(angle)
        starts = [rng.uniform(0, side) for side in room]
        axes = zip(starts, steps, room, strict=True)
        down, right = ([bounce(a + n * b, side) for n in range(frames)] for a, b, side in axes)
        return list(zip(down, right, strict=True))


def bounce(distance: float, room: int) -> int:
    """Position between two walls after a distance, reflected at both, to the nearest pixel.

    Args:
        distance: Signed distance from the first wall, in pixels.
        room: Distance between the walls, in pixels.
    """
    if room == 0:
        return 0
    folded = distance % (2 * room)
    return round(min(folded, 2 * room - folded))
