"""Images with a profile of the International Color Consortium (ICC), converted to sRGB."""

from functools import cache, lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

NEAR = 2
"""Grey levels of 255 by which a profile may differ from sRGB to count as equal."""
STEPS = 17
"""Levels of each colour at which the two are compared."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image in the colours of sRGB.

    A broken profile, or one of another colour space than the image, is ignored.

    Args:
        image: Of at most 8 bits a pixel and colour.
        profile: The bytes in the file.

    Returns:
        The same image where there is no profile, or one of sRGB; else one in RGB or RGBA.
    """
    if not profile:
        return image
    image = expanded(image)
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    solid = image.convert(image.mode[:-1]) if alpha else image
    transform = known_transform(profile, solid.mode)
    if transform is None:
        return image
    shown = ImageCms.applyTransform(solid, transform)
    assert shown is not None  # None only with inPlace=True
    if alpha:
        shown.putalpha(alpha)
    return shown


def expanded(image: Image.Image) -> Image.Image:
    """Palette indices replaced by their colours, and transparency by an alpha channel."""
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("L", "LA", "La", "1") else "RGBA")
    modes = {"P": "RGB", "PA": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "1": "L"}
    return image.convert(modes[image.mode]) if image.mode in modes else image


@lru_cache(maxsize=64)
def known_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where it is sRGB, broken, or not of `mode`."""
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(own, srgb(), mode, "RGB")
        return None if is_srgb(transform, mode) else transform
    except Exception:  # a broken profile does not make the pixels bad
        return None


def is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves colours as they are, nearly."""
    if mode not in ("L", "RGB"):
        return False
    level = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    axes = np.meshgrid(*[level] * len(mode), indexing="ij")
    probe = Image.merge(mode, [Image.fromarray(axis.reshape(1, -1)) for axis in axes])
    shown = ImageCms.applyTransform(probe, transform)
    assert shown is not None  # None only with inPlace=True
    before, after = (np.asarray(one.convert("RGB")).astype(int) for one in (probe, shown))
    return bool(np.abs(before - after).max() <= NEAR)


@cache
def srgb() -> ImageCms.ImageCmsProfile:
    """The profile that all images are converted to."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
