import io

import numpy as np
import pytest
from PIL import Image

from datamodules.images.preprocess import latent, square
from datamodules.records.errors import BadSampleError
from tests.fixtures.images import bomb, encoded, pixels


def file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_an_image_of_the_right_size_comes_back_as_it_is():
    assert np.array_equal(square(encoded(3), 8), pixels(3))
    assert np.array_equal(square(pixels(3), 8), pixels(3))


def test_pixels_are_scaled_to_one_and_minus_one():
    shown = np.zeros((2, 2, 3), np.uint8)
    shown[0, 1] = [255, 51, 0]
    values = latent(shown, (3, 2, 2))
    assert values.dtype == np.float32
    for channel in range(3):
        for y in range(2):
            for x in range(2):
                expected = shown[y, x, channel] / 127.5 - 1
                assert values[channel, y, x] == pytest.approx(expected)


@pytest.mark.parametrize(("width", "height"), [(24, 8), (8, 24), (9, 8)])
def test_the_centre_is_cut_out(width, height):
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = (height - 8) // 2, (width - 8) // 2
    whole[top : top + 8, left : left + 8] = pixels(5)
    assert np.array_equal(square(file(Image.fromarray(whole)), 8), pixels(5))


def test_a_larger_image_is_averaged_down():
    large = Image.new("RGB", (600, 400), (10, 200, 30))
    for kind in ("PNG", "JPEG", "WEBP"):
        image_HWC = square(file(large, kind), 16)
        assert image_HWC.shape == (16, 16, 3)
        assert np.abs(image_HWC.astype(int) - [10, 200, 30]).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.new("I;16", (8, 8)) if mode == "I;16" else Image.new("RGB", (8, 8)).convert(mode)
    assert square(file(image, kind), 8).shape == (8, 8, 3)


def test_transparent_pixels_show_white():
    assert (square(file(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), 8) == 255).all()


def test_a_rotated_photograph_becomes_upright():
    image = Image.fromarray(pixels(1))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half a circle
    assert np.array_equal(square(file(image, exif=exif), 8), pixels(1)[::-1, ::-1])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "an empty image file"),
        (b"GIF? no", "not an image"),
        (encoded(0, 64)[:2000], "a broken image"),
        (encoded(0, 64, "JPEG")[:600], "a broken image"),
        (bomb(), "a decompression bomb"),
        (np.zeros((0, 4, 3), np.uint8), "an image of size"),
    ],
    ids=["empty", "no image", "cut PNG", "cut JPEG", "bomb", "zero size"],
)
def test_a_broken_image_says_why(broken, reason):
    with pytest.raises(BadSampleError, match=reason):
        square(broken, 8)


def test_stored_latents_pass_and_must_fit():
    stored = np.ones((4, 2, 2), np.float32)
    assert latent(stored, (4, 2, 2)) is stored
    with pytest.raises(ValueError, match=r"\(4, 2, 2\), but the config says \(3, 2, 2\)"):
        latent(stored, (3, 2, 2))
    with pytest.raises(ValueError, match=r"channels is 4"):
        latent(pixels(0), (4, 8, 8))


def file_of(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_sixteen_bits_become_eight_and_are_not_clipped():
    deep = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    image_HWC = square(file_of(Image.fromarray(deep), "PNG"), 8)
    assert np.array_equal(
        image_HWC, np.repeat((deep // 256).astype(np.uint8)[..., None], 3, axis=2)
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_of_an_unknown_range_are_refused(dtype):
    image = Image.fromarray(np.arange(64, dtype=dtype).reshape(8, 8))
    with pytest.raises(BadSampleError, match=r"32-bit pixels \([IF]\) of an unknown range"):
        square(file_of(image, "TIFF"), 8)
