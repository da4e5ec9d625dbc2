"""Handwritten digits that come with scikit-learn (Alpaydin & Kaynak, 1998); no download."""

import json
from functools import cached_property
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.fusion_source import FusionSource, Pair

Split = Literal["train", "validate", "test"]
TENTHS: dict[Split, tuple[int, ...]] = {
    "train": (0, 1, 2, 3, 4, 5, 6, 7),
    "validate": (8,),
    "test": (9,),
}
"""Last digits of the numbers of each split's pictures."""
BRIGHTEST = 16
"""Largest value of a pixel."""


class Digits(FusionSource):
    """1,797 digits of 8 x 8 pixels, white on black, captioned by their names.

    Args:
        split: Eight, one and one tenth of them.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    def __init__(self, split: Split = "train", weight: float = 1.0):
        super().__init__(weight)
        self.split: Split = split

    @cached_property
    def _digits(self) -> tuple[NDArray[np.uint8], list[int]]:
        from sklearn.datasets import load_digits

        found = load_digits()
        chosen = np.isin(np.arange(len(found.images)) % 10, TENTHS[self.split])
        grey_NHW = np.round(found.images[chosen] * (255 / BRIGHTEST)).astype(np.uint8)
        return grey_NHW, found.target[chosen].tolist()

    @property
    @override
    def name(self) -> str:
        return f"digits:{self.split}"

    @override
    def fingerprint(self) -> str:
        return json.dumps(["Digits", self.split])

    @override
    def __len__(self) -> int:
        return len(self._digits[1])

    @override
    def place(self, index: int) -> str:
        return f"{self.name}:{index + 1}"

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        grey_NHW, names = self._digits
        return Pair(np.repeat(grey_NHW[index, :, :, None], 3, axis=2), [str(names[index])])
