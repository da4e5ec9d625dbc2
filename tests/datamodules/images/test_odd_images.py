"""Unusual image files: valid ones are decoded as intended, incomplete ones are bad samples."""

import io
import zlib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from datamodules.images.formats.jpeg import decode_strictly, read_jpeg
from datamodules.images.preprocess import latent, square
from datamodules.records.errors import BadSampleError, MisfitError
from tests.fixtures.odd_images import (
    ODD_TAGS,
    chunk,
    deep_png,
    exif,
    file,
    holes,
    photo,
    profile,
    with_segment,
)

SOUND = file(photo())
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}
"""How a camera's orientation is undone, in words of arrays."""


def apart(first, second):
    return np.abs(first.astype(int) - second.astype(int)).max()


@pytest.mark.parametrize("tag", ODD_TAGS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_an_odd_tag_harms_no_valid_photograph(tag, orientation):
    odd = with_segment(SOUND, 0xE1, b"Exif\0\0" + exif(orientation, *ODD_TAGS[tag]))
    assert np.array_equal(square(odd, 96), TURNED[orientation](square(SOUND, 96)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(kind, orientation):
    options = {"JPEG": {"subsampling": 0, "quality": 100}, "WEBP": {"lossless": True}}
    image, remarks = Image.fromarray(photo(64, 64)), Image.Exif()
    remarks[0x0112] = orientation
    turned = file(image, kind, exif=remarks, **options.get(kind, {}))
    assert apart(square(turned, 64), TURNED[orientation](photo(64, 64))) <= 4


@pytest.mark.parametrize("broken", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II"])
def test_broken_exif_is_as_good_as_none(broken):
    assert np.array_equal(square(with_segment(SOUND, 0xE1, broken), 48), square(SOUND, 48))


@pytest.mark.parametrize("hole", ["bytes gone", "zeros", "cut and closed", "cut"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"kind": "CMYK"}],
    ids=["4:2:0", "progressive", "4:4:4", "restart markers", "CMYK"],
)
def test_a_jpeg_with_a_hole_is_bad(hole, options):
    image = Image.fromarray(photo()).convert(options.pop("kind", "RGB"))
    whole = file(image, quality=85, **options)
    assert square(whole, 48).shape == (48, 48, 3)
    with pytest.raises(BadSampleError, match=r"premature end|extraneous|ends within|missing|bad H"):
        square(holes(whole)[hole], 48)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_valid(missing, options):
    whole = file(photo(), **options)
    assert np.array_equal(square(whole[:-missing], 48), square(whole, 48))


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_bad():
    whole = file(photo(), progressive=True)
    starts = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    tables = whole.rindex(b"\xff\xc4", 0, starts[-1])
    with pytest.raises(BadSampleError, match="scans are missing"):
        square(whole[:tables] + b"\xff\xd9", 48)


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (0xE0, b"JFIF\0\x09\x09\0\0\x01\0\x01\0\0"),
        (0xE2, b"ICC_PROFILE\0\x01\x03not a profile"),
        (0xE2, b"MPF\0MM\0*broken"),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
        (0xFE, b"\xff\xff\xff"),
    ],
    ids=["JFIF 9.9", "ICC", "MPF", "Photoshop", "remark"],
)
def test_odd_headers_harm_no_jpeg(marker, content):
    assert np.array_equal(square(with_segment(SOUND, marker, content), 48), square(SOUND, 48))


def test_bytes_after_the_end_or_between_headers_do_not_count():
    assert np.array_equal(square(SOUND + b"\xff\xd8more", 48), square(SOUND, 48))
    at = SOUND.index(b"\xff\xdb")
    assert np.array_equal(square(SOUND[:at] + b"\0\0\0" + SOUND[at:], 48), square(SOUND, 48))


def test_several_images_in_one_jpeg_give_the_first():
    out = io.BytesIO()
    Image.fromarray(photo()).save(
        out, "MPO", save_all=True, append_images=[Image.fromarray(255 - photo())], quality=90
    )
    assert apart(square(out.getvalue(), 48), square(SOUND, 48)) <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(96, 128), (217, 333), (401, 600)])
def test_a_jpeg_is_decoded_as_pillow_decodes_it(mode, size):
    kinds = [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}]
    for options in kinds:
        jpeg = file(Image.fromarray(photo(*size)).convert(mode), **options)
        jpeg_data = read_jpeg(jpeg)
        assert jpeg_data.pixels == jpeg
        for least in (8, 32, 128, 1000):
            image = Image.open(io.BytesIO(jpeg))
            image.draft("RGB", (least, least))
            pixels = decode_strictly(jpeg_data, size[::-1], (least, least))
            assert (pixels is None) == (mode == "CMYK")
            assert pixels is None or np.array_equal(pixels, np.asarray(image))


def test_a_jpeg_with_damage_is_decoded_by_nobody():
    for hole in holes(SOUND).values():
        with suppress(BadSampleError):
            assert decode_strictly(read_jpeg(hole), (128, 96), (96, 96)) is None


def test_transparent_grey_of_sixteen_bits_shows_white():
    dark, light = b"\0\0" * 32, b"\x9c\x40" * 32
    pixels = square(deep_png(0, [dark] * 16 + [light] * 16, b"\0\0"), 32)
    assert (pixels[:16] == 255).all()
    assert (pixels[16:] == 0x9C).all()


def test_transparent_colours_of_sixteen_bits_show_white():
    clear, solid = b"\x12\x34\x56\x78\x9a\xbc" * 32, b"\x10\0\x20\0\x30\0" * 32
    pixels = square(deep_png(2, [clear] * 16 + [solid] * 16, clear[:6]), 32)
    assert (pixels[:16] == 255).all()
    assert (pixels[16:] == [0x10, 0x20, 0x30]).all()


def test_grey_of_sixteen_bits_in_a_pgm_has_its_declared_range():
    deep = np.arange(0, 64 * 1000, 1000, dtype=">u2").reshape(8, 8)
    pixels = square(b"P5 8 8 65535\n" + deep.tobytes(), 8)
    assert np.array_equal(pixels[..., 0], deep >> 8)
    twelve = (deep.astype(int) * 4095 // 65535).astype(">u2")
    assert apart(square(b"P5 8 8 4095\n" + twelve.tobytes(), 8)[..., 0], deep >> 8) <= 1


def test_metadata_of_a_png_is_ignored_and_its_pixels_are_checked():
    whole = file(photo(), "PNG")
    head = whole.index(b"IDAT") - 4
    remark = chunk(b"tEXt", b"a\0b", is_sound=False)
    assert np.array_equal(square(whole[:head] + remark + whole[head:], 48), square(whole, 48))
    assert np.array_equal(square(whole[:-12], 48), square(whole, 48))  # only its end is missing
    flipped = bytearray(whole)
    flipped[(head + len(whole)) // 2] ^= 1
    with pytest.raises(BadSampleError, match="checksum of IDAT"):
        square(bytes(flipped), 48)


def test_png_metadata_that_is_too_long_hides_no_orientation():
    remarks = Image.Exif()
    remarks[0x0112] = 6
    whole = file(photo(64, 64), "PNG", exif=remarks)
    long = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 * 2**20)))
    at = whole.index(b"IDAT") - 4
    assert np.array_equal(square(whole[:at] + long + whole[at:], 64), np.rot90(photo(64, 64), -1))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "PPM"])
def test_a_cut_file_is_bad_whatever_others_let_pillow_do(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = file(photo(), kind)
    for part in (0.4, 0.7, 0.95):
        with pytest.raises(BadSampleError):
            square(whole[: int(part * len(whole))], 48)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("mode", "icc"),
    [
        ("RGB", profile(1.0)),
        ("RGB", profile(2.2, swap=True)),
        ("RGBA", profile(1.0)),
        ("L", profile(1.0, b"GRAY")),
    ],
)
def test_colours_of_a_profile_become_those_of_srgb(mode, icc):
    image = Image.fromarray(photo(48, 48)).convert(mode)
    target = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(
        image, io.BytesIO(icc), target, outputMode="RGBA" if mode == "RGBA" else "RGB"
    )
    pixels = square(file(image, "PNG", icc_profile=icc), 48)
    assert apart(pixels, np.asarray(shown.convert("RGB"))) <= 1
    assert apart(pixels, np.asarray(image.convert("RGB"))) > 40


@pytest.mark.parametrize(
    "icc",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile(1.0)[:100],
        b"no profile",
        profile(1.0, b"GRAY"),
    ],
    ids=["sRGB", "cut", "none", "of grey images"],
)
def test_a_profile_of_srgb_or_a_broken_one_changes_nothing(icc):
    whole = file(photo(48, 48), "PNG", icc_profile=icc)
    assert np.array_equal(square(whole, 48), photo(48, 48))


def test_larger_images_are_opened_where_they_are_allowed():
    whole = file(photo(100, 200), "PNG")
    with pytest.raises(BadSampleError, match=r"bomb.*20000 pixels.*max_pixels allows 10,000"):
        square(whole, 8, max_pixels=10_000)
    assert square(whole, 8, max_pixels=20_000).shape == (8, 8, 3)
    before = Image.MAX_IMAGE_PIXELS
    assert latent(whole, (3, 8, 8), max_pixels=10**9).shape == (3, 8, 8)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_sample_that_exhausts_memory_is_bad(monkeypatch):
    def open_none(file):
        raise MemoryError

    monkeypatch.setattr(Image, "open", open_none)
    with pytest.raises(BadSampleError, match="a broken image: MemoryError"):
        square(SOUND, 8)


def test_settings_that_fit_no_image_make_none_bad():
    with pytest.raises(MisfitError, match=r"channels is 4"):
        latent(photo(), (4, 8, 8))


def test_photographs_of_a_camera_are_valid():
    folder = Path(str(find_spec("sklearn").origin)).parent / "datasets" / "images"
    for path in sorted(folder.glob("*.jpg")):
        assert square(path.read_bytes(), 64).std() > 10
