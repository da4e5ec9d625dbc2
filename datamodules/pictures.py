"""From an image as it is stored to what the network sees.

Shape legend: H, W = height and width, C = channels.
"""

import io
import warnings
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datamodules.quarantine import UnusableError

Picture = bytes | NDArray[np.uint8] | NDArray[np.float32]
"""An image: an encoded file, pixels [H, W] or [H, W, 3], or clean latents [C, H, W]."""


def latent(picture: Picture, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Clean latents: those given, or the pixels of the central square scaled to [-1, 1].

    Args:
        picture: The image.
        shape: Channels, height and width of the result; pixels have three channels.

    Returns:
        Float32 [C, H, W].

    Raises:
        UnusableError: The image is broken.
        ValueError: Stored latents have another shape, or pixels are asked for as more channels.
    """
    if isinstance(picture, np.ndarray) and picture.dtype == np.float32:
        if picture.shape != shape:
            raise ValueError(f"stored latents are {picture.shape}, but the config says {shape}.")
        return cast(NDArray[np.float32], picture)
    if shape[0] != 3:
        raise ValueError(f"pixels have 3 channels, but data.init_args.channels is {shape[0]}.")
    pixels_HWC = square(picture, shape[1])
    return pixels_HWC.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - np.float32(1)


def square(picture: Picture, size: int) -> NDArray[np.uint8]:
    """The central square of an image in RGB, resized.

    Args:
        picture: An encoded file or pixels.
        size: Side of the result in pixels.

    Returns:
        Uint8 [size, size, 3].

    Raises:
        UnusableError: The image is broken; says how.
    """
    if isinstance(picture, np.ndarray):
        if picture.shape == (size, size, 3):
            return picture.astype(np.uint8, copy=False)
        if 0 in picture.shape:
            raise UnusableError(f"an image of size {picture.shape}")
        return _central(Image.fromarray(picture.astype(np.uint8, copy=False)), size)
    if not picture:
        raise UnusableError("an empty image file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _central(_open(picture, size), size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableError(f"a decompression bomb: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise UnusableError("not an image of a known format") from error
    except UnusableError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        raise UnusableError(f"a broken image: {error or type(error).__name__}") from error


def _open(file: bytes, size: int) -> Image.Image:
    """An upright RGB image on white."""
    image: Image.Image = Image.open(io.BytesIO(file))
    image.draft("RGB", (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
    image = _eight_bits(ImageOps.exif_transpose(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of at most 8 bits a pixel and colour; Pillow would clip larger ones to white.

    Raises:
        UnusableError: Nothing says which value is white.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnusableError(f"32-bit pixels ({image.mode}) of an unknown range")
    return image


def _central(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The central square, resized."""
    image = image.convert("RGB")
    if image.size != (size, size):
        side = min(image.size)
        left, top = ((full - side) // 2 for full in image.size)
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.asarray(image)
