"""From a stored image to the network's input.

An image is shown upright, in sRGB and on white. An image is valid if all of its pixels are there;
metadata in its file does not count.

Shape legend: H, W = height and width, C = channels.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from datamodules.images.formats.icc import to_srgb
from datamodules.images.formats.jpeg import LOSSLESS, START, check_jpeg, decode_strictly, read_jpeg
from datamodules.images.formats.png import SIGNATURE, metadata_only, pixels_only
from datamodules.records.errors import BadSampleError, MisfitError
from datamodules.records.faults import blaming

StoredImage = bytes | NDArray[np.uint8] | NDArray[np.float32]
"""An image: an encoded file, pixels [H, W] or [H, W, 3], or clean latents [C, H, W]."""
MAX_PIXELS = 89_478_485
"""Pixels of the largest image that is opened unless more are allowed, Pillow's own limit: a few
bytes can claim any size."""
VERSION = 2
"""Raised when the same file gives other pixels, so that caches made from them are rebuilt."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transpositions that make an image upright, by EXIF orientation; 1 is upright."""


def latent(
    image: StoredImage, shape: tuple[int, int, int], max_pixels: int = MAX_PIXELS
) -> NDArray[np.float32]:
    """Clean latents: those given, or the pixels of the central square scaled to [-1, 1].

    Args:
        image: The image.
        shape: Channels, height and width of the result; pixels have three channels.
        max_pixels: Pixels of the largest file that is opened.

    Returns:
        Float32 [C, H, W].

    Raises:
        BadSampleError: The image is broken.
        MisfitError: Stored latents have another shape, or pixels are asked for as more channels.
    """
    if isinstance(image, np.ndarray) and image.dtype == np.float32:
        if image.shape != shape:
            raise MisfitError(f"stored latents are {image.shape}, but the config says {shape}.")
        return cast(NDArray[np.float32], image)
    if shape[0] != 3:
        raise MisfitError(f"pixels have 3 channels, but data.init_args.channels is {shape[0]}.")
    pixels_HWC = square(image, shape[1], max_pixels)
    return pixels_HWC.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - np.float32(1)


def square(image: StoredImage, size: int, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The central square of an image in RGB, resized.

    Args:
        image: An encoded file or pixels.
        size: Side of the result in pixels.
        max_pixels: Pixels of the largest file that is opened.

    Returns:
        Uint8 [size, size, 3].

    Raises:
        BadSampleError: The image is broken; says how.
    """
    if isinstance(image, np.ndarray):
        if image.shape == (size, size, 3):
            return image.astype(np.uint8, copy=False)
        if 0 in image.shape:
            raise BadSampleError(f"an image of size {image.shape}")
        return _central(Image.fromarray(image.astype(np.uint8, copy=False)), size)
    if not image:
        raise BadSampleError("an empty image file")
    with blaming("a broken image"), _strictly(max_pixels):
        return _central(_open(image, size), size)


@contextmanager
def _strictly(max_pixels: int) -> Iterator[None]:
    """Makes Pillow refuse larger images and truncated ones."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadSampleError(
            f"a decompression bomb: {error} (data.init_args.max_pixels allows {max_pixels:,})"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise BadSampleError("not an image of a known format") from error
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _open(file: bytes, size: int) -> Image.Image:
    """An upright image in sRGB on white."""
    if file.startswith(START):
        image = _jpeg(file, size)
    elif file.startswith(SIGNATURE):
        image = Image.open(io.BytesIO(pixels_only(file)))
    else:
        image = Image.open(io.BytesIO(file))
    image.load()  # Pillow rotates a TIFF here and drops its orientation
    is_stripped = file.startswith((START, SIGNATURE))
    orientation, profile = _hints(file if is_stripped else image)
    image = to_srgb(_eight_bits(image), profile)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _jpeg(file: bytes, size: int) -> Image.Image:
    """A JPEG without missing data; a large one is decoded at a fraction of its size."""
    found, least = read_jpeg(file), (2 * size, 2 * size)
    image: Image.Image = Image.open(io.BytesIO(found.pixels))  # refuses too many pixels
    pixels = decode_strictly(found, image.size, least)
    if pixels is not None:
        return Image.fromarray(pixels)
    check_jpeg(found)
    if found.frame not in LOSSLESS:
        image.draft("RGB", least)
    return image


def _hints(file: bytes | Image.Image) -> tuple[int, bytes | None]:
    """Orientation and colour profile of an image; errors in them are ignored."""
    orientation: object = 1
    profile: bytes | None = None
    try:
        if isinstance(file, bytes) and file.startswith(SIGNATURE):
            file = metadata_only(file)
        if not file:
            return 1, None
        image = Image.open(io.BytesIO(file)) if isinstance(file, bytes) else file
        profile = image.info.get("icc_profile")
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # malformed metadata raises nearly anything
        return 1, profile
    return (orientation if isinstance(orientation, int) else 1), profile


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of at most 8 bits a pixel and colour; Pillow would clip larger ones to white.

    Raises:
        BadSampleError: It is unknown which value is white.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        deep_HW = np.asarray(image).astype(np.uint16)
        grey = Image.fromarray((deep_HW >> 8).astype(np.uint8))
        if "transparency" in image.info:
            shown_HW = np.where(deep_HW == image.info["transparency"], 0, 255).astype(np.uint8)
            grey.putalpha(Image.fromarray(shown_HW))
        return grey
    if image.mode in ("I", "F"):
        raise BadSampleError(f"32-bit pixels ({image.mode}) of an unknown range")
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
