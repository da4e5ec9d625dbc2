"""Handwritten digits that come with scikit-learn (Alpaydin & Kaynak, 1998); no download."""

import json
from functools import cached_property
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from datamodules.images.source import ImageSource, Pair
from datamodules.stream.checks import check_choice

Split = Literal["train", "validate", "test"]
TENTHS: dict[Split, tuple[int, ...]] = {
    "train": (0, 1, 2, 3, 4, 5, 6, 7),
    "validate": (8,),
    "test": (9,),
}
"""Last digits of the indices of each split's images."""
BRIGHTEST = 16
"""Largest value of a pixel."""
SIDE = 32
"""Width and height of copies, in pixels."""
TURN, SHIFT = 12.0, 2.5
"""Largest rotation of a copy, in degrees, and its largest shift, in pixels."""


class Digits(ImageSource):
    """1,797 digits of 8 x 8 pixels, white on black, captioned by their names.

    Args:
        split: Eight, one and one tenth of them.
        copies: How often each occurs: once unchanged, the others slightly rotated and shifted, at
            32 x 32 pixels.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `copies` is below 1, or there is no such split.
    """

    def __init__(self, split: Split = "train", copies: int = 1, weight: float = 1.0):
        super().__init__(weight)
        if copies < 1:
            raise ValueError(f"copies must be at least 1, got {copies}.")
        check_choice("split", split, TENTHS)
        self.split: Split = split
        self.copies = copies

    @cached_property
    def _digits(self) -> tuple[NDArray[np.uint8], list[int]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        chosen = np.isin(np.arange(len(digits.images)) % 10, TENTHS[self.split])
        grey_NHW = np.round(digits.images[chosen] * (255 / BRIGHTEST)).astype(np.uint8)
        return grey_NHW, digits.target[chosen].tolist()

    @property
    @override
    def name(self) -> str:
        return f"digits:{self.split}"

    @override
    def fingerprint(self) -> str:
        return json.dumps(["Digits", self.split, self.copies, TURN, SHIFT])

    @override
    def __len__(self) -> int:
        return len(self._digits[1]) * self.copies

    @override
    def location(self, index: int) -> str:
        return f"{self.name}:{index + 1}"

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        grey_NHW, names = self._digits
        copy, digit = divmod(index, len(names))
        grey_HW = grey_NHW[digit]
        if copy:
            grey_HW = moved(grey_HW, Random(f"{self.split}/{index}"))
        return Pair(np.repeat(grey_HW[:, :, None], 3, axis=2), [str(names[digit])])


def moved(grey_HW: NDArray[np.uint8], rng: Random) -> NDArray[np.uint8]:
    """An image enlarged to 32 x 32 pixels, slightly rotated and shifted."""
    large = Image.fromarray(grey_HW).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    shift = rng.uniform(-SHIFT, SHIFT), rng.uniform(-SHIFT, SHIFT)
    turn = rng.uniform(-TURN, TURN)
    bicubic = Image.Resampling.BICUBIC
    return np.asarray(large.rotate(turn, bicubic, translate=shift))  # type: ignore[arg-type] # fractions work
