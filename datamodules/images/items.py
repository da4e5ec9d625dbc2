"""Images of several sources, and batches of them.

Shape legend: B = images, C = channels, H = W = side.
"""

from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from datamodules.images.preprocess import MAX_PIXELS, StoredImage, square
from datamodules.images.source import ImageSource, Pair
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.stream.loader import Batch
from datamodules.stream.samples import TRIES, SourceItems

Pixels = NDArray[np.uint8]


class ImageItems(SourceItems[ImageSource, Pixels]):
    """The images of several sources as one sequence that collates itself.

    Args:
        sources: The sources; captions are ignored. Ids continue from one source to the next.
        size: Side of the images, in pixels.
        channels: 1 for grey, 3 for colours.
        seed: Seed of random choices of the sources.
        replace: Whether another image replaces a bad one, as in training; else there is one less.
        max_pixels: Pixels of the largest file that is opened.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        size: int,
        channels: int,
        seed: int,
        replace: bool,
        max_pixels: int = MAX_PIXELS,
    ):
        super().__init__(sources, seed, replace)
        self.size = size
        self.channels = channels
        self.max_pixels = max_pixels

    @override
    def read(self, source: ImageSource, index: int, rng: Random) -> Pixels:
        return shaped(stored(source, index, rng), self.size, self.channels, self.max_pixels)

    @override
    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real images of one batch; `bad_samples` gives the errors of bad ones.

        Args:
            ids: Draws as `Draws` gives them, or plain indices of images.
            num_real: The first so many ids are real, the others padding.
        """
        taken = [self.take(int(draw)) for draw in ids[:num_real]]
        pixels = [pixels for pixels, _, _ in taken if pixels is not None]
        row_B = [row for _, row, _ in taken if row >= 0]
        shape = len(pixels), self.channels, self.size, self.size
        pixel_BCHW = np.empty(shape, np.float32)
        for b, image in enumerate(pixels):
            pixel_BCHW[b] = scaled(image)
        bad_samples = [bad for _, _, bad in taken if bad is not None]
        return {
            "pixel_BCHW": torch.from_numpy(pixel_BCHW),
            "num_targets": len(pixels),
            "row_B": row_B,
            "origin": [self.location(row) for row in row_B],
            **({"bad_samples": bad_samples} if bad_samples else {}),
        }

    def take(self, draw: int) -> tuple[Pixels | None, int, BadSample | None]:
        """As `draw`; no image where it is bad and is not to be replaced."""
        return self.draw(draw, TRIES if self.replace else 1)


def stored(source: ImageSource, index: int, rng: Random) -> StoredImage:
    """An image as its source stores it.

    Raises:
        BadSampleError: It cannot be read, or the document is not a single image.
    """
    document = source.sample(index, rng)
    if not isinstance(document, Pair):
        raise BadSampleError("a document of several parts")
    return document.image


def shaped(image: StoredImage, size: int, channels: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The central square of an image, resized; uint8 [H, W] if grey, else [H, W, 3].

    Raises:
        BadSampleError: The image is broken.
    """
    pixels_HWC = square(image, size, max_pixels)
    return pixels_HWC if channels == 3 else np.asarray(Image.fromarray(pixels_HWC).convert("L"))


def scaled(image: Pixels) -> NDArray[np.float32]:
    """Pixels in [-1, 1], channels first: float32 [C, H, W]."""
    pixel_HWC = image.reshape(*image.shape[:2], -1)
    return pixel_HWC.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - np.float32(1)
