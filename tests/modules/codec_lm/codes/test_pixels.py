"""Images as their pixels."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from modules.codec_lm.codes.pixels import PixelCodec, nearest
from modules.codec_lm.codes.rules import unpack


@pytest.fixture
def palette(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "palette.npy", rng.integers(0, 256, (300, 3), dtype=np.uint8))
    return str(tmp_path)


def brute(pixels, colours):
    """The first of the nearest colours of each pixel, one after the other."""
    indices = []
    for pixel in pixels.astype(int):
        distances = [sum((a - b) ** 2 for a, b in zip(pixel, c, strict=True)) for c in colours]
        indices.append(distances.index(min(distances)))
    return indices


def test_every_pixel_has_the_nearest_colour_of_all(palette):
    codec = PixelCodec(6, 5, palette)
    image = np.random.default_rng(1).integers(0, 256, codec.shape, dtype=np.uint8)
    codes = codec.encode(image)
    assert codes.tolist() == brute(image.reshape(-1, 3), codec.colours.astype(int).tolist())
    assert np.array_equal(codec.show(codes), codec.colours[codes].reshape(6, 5, 3))


def test_of_two_equally_near_colours_the_first_is_taken():
    pixels = np.array([[10, 0, 0], [5, 0, 0], [0, 5, 0]], np.uint8)
    colours = np.array([[255, 255, 255], [0, 0, 0], [10, 0, 0], [0, 10, 0]], np.uint8)
    assert nearest(pixels, colours).tolist() == [2, 1, 1]


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_grey_levels_run_evenly_from_black_to_white(levels):
    codec = PixelCodec(16, 16, levels=levels)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = codec.show(codec.encode(image))
    assert shown[0, 0] == 0
    assert shown[-1, -1] == 255
    assert np.abs(shown.astype(int) - image).max() <= 255 / (levels - 1) / 2 + 0.5
    assert len(np.unique(shown)) == levels == codec.num_kinds


def test_a_sequence_and_its_file_show_the_image_of_the_codes(palette):
    codec = PixelCodec(6, 5, palette)
    image = np.random.default_rng(2).integers(0, 256, codec.shape, dtype=np.uint8)
    codes = codec.encode(image)
    sequence = np.asarray(codes, ">u2").tobytes()
    assert np.array_equal(unpack(sequence, codec.num_kinds), codes)
    assert np.array_equal(codec.decode(sequence), codec.show(codes))
    with Image.open(io.BytesIO(codec.file(sequence))) as file:
        assert np.array_equal(np.asarray(file), codec.show(codes))


def test_what_was_shown_is_coded_as_it_was(palette):
    codec = PixelCodec(6, 5, palette)
    shown = codec.colours[np.random.default_rng(3).integers(0, 300, (6, 5))]
    assert np.array_equal(codec.show(codec.encode(shown)), shown)


def test_a_scale_codes_the_mean_of_squares_and_enlarges_again():
    codec = PixelCodec(8, 4, levels=256, scale=2)
    image = np.random.default_rng(4).integers(0, 256, (8, 4), dtype=np.uint8)
    means = image.reshape(4, 2, 2, 2).mean((1, 3))
    assert codec.length == 8
    assert np.abs(codec.encode(image).reshape(4, 2) - means).max() <= 0.5
    plain = np.full((8, 4), 77, np.uint8)
    assert np.array_equal(codec.show(codec.encode(plain)), plain)


def test_the_fingerprint_follows_colours_and_size(palette):
    codecs = [PixelCodec(8, 8), PixelCodec(8, 8, levels=8), PixelCodec(8, 8, scale=2)]
    codecs += [PixelCodec(8, 8, palette), PixelCodec(8, 4, palette)]
    assert len({codec.fingerprint() for codec in codecs}) == len(codecs)
    assert PixelCodec(8, 8, palette).fingerprint() == codecs[3].fingerprint()
    copy = pickle.loads(pickle.dumps(codecs[3]))
    assert copy.fingerprint() == codecs[3].fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 0}, r"height must be within \[1, 65535\], got 0"),
        ({"levels": 1}, r"levels must be within \[2, 256\], got 1"),
        ({"scale": 3}, "3 does not divide 8x8"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PixelCodec(**{"height": 8, "width": 8, **options})


def test_an_image_of_another_shape_is_refused(palette):
    with pytest.raises(ValueError, match=r"uint8 \(8, 8, 3\), got uint8 \(8, 8\)"):
        PixelCodec(8, 8, palette).encode(np.zeros((8, 8), np.uint8))


def test_a_palette_that_is_not_there_is_told_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python cli\.py palette --config"):
        PixelCodec(8, 8, str(tmp_path / "none")).fingerprint()


def test_a_palette_of_something_else_is_refused(tmp_path):
    np.save(tmp_path / "palette.npy", np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"it holds float64 \[4, 3\]"):
        PixelCodec(8, 8, str(tmp_path)).fingerprint()
    (tmp_path / "palette.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no array"):
        PixelCodec(8, 8, str(tmp_path)).fingerprint()
