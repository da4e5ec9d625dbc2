"""Images as pixels in raster order, one code each (ImageGPT; Chen et al., 2020).

Shape legend: H, W = height and width; N = pixels, K = colours of a palette, C = channels.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from modules.codec_lm.codes.codec import CodeCodec, Pixels
from modules.codec_lm.codes.rules import MOST, Codes
from modules.weights.origin import at_home

FILE = "palette.npy"
"""Colours, uint8 [K, 3], in the folder of a palette."""
BRIGHTEST = 255


@dataclass(frozen=True)
class PixelCodec(CodeCodec):
    """One code a pixel: its grey level, or its nearest colour in a palette.

    ImageGPT uses 512 colours, found by k-means over pixels, and 32 x 32 pixels (sec. 3.2); larger
    images are reduced before they are coded, and enlarged after decoding.

    Attributes:
        height: Height of images, in pixels.
        width: Width of images, in pixels.
        palette: Folder of the palette, as the command `palette` writes it, read when first needed;
            None for grey levels.
        levels: Number of grey levels, evenly spaced from black to white.
        scale: Side of the square of pixels whose mean a code stands for.

    Raises:
        ValueError: A number is out of bounds.
    """

    height: int
    width: int
    palette: str | None = None
    levels: int = 16
    scale: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, most in (("height", 65535), ("width", 65535), ("scale", 65535)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be within [1, {most}], got {getattr(self, name)}.")
        if not 2 <= self.levels <= BRIGHTEST + 1:
            raise ValueError(f"levels must be within [2, 256], got {self.levels}.")
        if self.height % self.scale or self.width % self.scale:
            raise ValueError(
                f"scale must divide height and width, but {self.scale} does not divide "
                f"{self.height}x{self.width}."
            )

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return (self.height, self.width) + (() if self.palette is None else (3,))

    @property
    @override
    def num_kinds(self) -> int:
        return len(self.colours)

    @property
    @override
    def length(self) -> int:
        return self.height * self.width // self.scale**2

    @cached_property
    def colours(self) -> Pixels:
        """Colour of each code, uint8: [levels], or [K, 3] with a palette.

        Raises:
            FileNotFoundError: The folder does not exist.
            ValueError: It holds no palette.
        """
        if self.palette is None:
            return np.round(np.linspace(0, BRIGHTEST, self.levels)).astype(np.uint8)
        return read_palette(at_home(self.palette))

    @override
    def encode(self, image: Pixels) -> Codes:
        self.check(image)
        small = np.asarray(Image.fromarray(image).reduce(self.scale))
        return nearest(small.reshape(self.length, -1), self.colours.reshape(self.num_kinds, -1))

    @override
    def show(self, code_N: Codes) -> Pixels:
        small = (self.height // self.scale, self.width // self.scale, *self.shape[2:])
        coded = Image.fromarray(self.colours[code_N].reshape(small))
        if self.scale == 1:
            return np.asarray(coded)
        return np.asarray(coded.resize((self.width, self.height), Image.Resampling.LANCZOS))

    @override
    def fingerprint(self) -> str:
        settings = [self.height, self.width, self.scale, self.colours.tolist()]
        return json.dumps([type(self).__name__, *settings])


def nearest(pixel_NC: NDArray[np.uint8], colour_KC: NDArray[np.uint8]) -> Codes:
    """Index of the nearest colour of each pixel, by squared distance; the first in a tie. [N].

    |p - c|^2 = |p|^2 - 2 p c + |c|^2, whose first term is the same for all colours. All terms are
    integers that float32 represents exactly.
    """
    pixel, colour = pixel_NC.astype(np.float32), colour_KC.astype(np.float32)
    return np.argmin((colour**2).sum(1) - 2 * pixel @ colour.T, axis=1).astype(np.int64)


def read_palette(folder: Path) -> Pixels:
    """The colours of a palette, uint8 [K, 3].

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It holds something else.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; make it from training images with: python cli.py palette "
            f"--config configs/vq/NAME.yaml --folder {folder}"
        )
    try:
        palette = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} holds no array: {error}") from error
    is_palette = palette.dtype == np.uint8 and palette.ndim == 2 and palette.shape[1] == 3
    if not is_palette or not 2 <= len(palette) <= MOST:
        raise ValueError(
            f"{path} must hold uint8 [K, 3] with K within [2, {MOST}], it holds "
            f"{palette.dtype} {list(palette.shape)}."
        )
    return np.asarray(palette)
