"""Images as texts of file bytes."""

import io
import re
from random import Random

import numpy as np
import pytest
from PIL import Image

from datamodules.codec.datamodule import CodecData, CodecText, begin
from datamodules.images.digits import TENTHS, Digits
from datamodules.images.source import ImageSource, Pair
from datamodules.records.document import BadSample, Document
from datamodules.text.tokenizer import load_tokenizer
from engine.commands.tokenizer import train_tokenizer
from modules.codec_lm.byte_text import text_to_bytes
from modules.codec_lm.jpeg.codec import JpegCodec

GREY = JpegCodec(16, 16, sampling="grey", keep_header=False)


class Some(ImageSource):
    """An image, a broken one, and a white one."""

    name = "some"

    def __len__(self):
        return 3

    def location(self, index):
        return f"some:{index + 1}"

    def sample(self, index, rng):
        rng = np.random.default_rng(index)
        images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), b"no image"]
        return Pair([*images, np.full((8, 8, 3), 255, np.uint8)][index], ["a caption"])

    def fingerprint(self):
        return "some"


def test_images_become_texts_and_broken_ones_are_reported():
    first, broken, white = CodecText(Some(), JpegCodec(16, 16)).documents()
    assert isinstance(first, Document)
    assert first.size == len(text_to_bytes(first.text)) == len(first.text)
    assert broken == BadSample("some:2", "not an image of a known format")
    image = JpegCodec(16, 16).decode(text_to_bytes(white.text))
    assert (image == 255).all()


class Photos(Some):
    """An image without losses, and the same as a JPEG file."""

    def __len__(self):
        return 2

    def sample(self, index, rng):
        image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        return Pair([image, JpegCodec(16, 16).save(image)][index], ["a caption"])


def test_images_that_are_coded_a_second_time_are_counted_and_reported():
    source = CodecText(Photos(), JpegCodec(16, 16))
    with pytest.warns(UserWarning, match="some: 1 of 2 were compressed with losses already"):
        list(source.documents())
    assert source.num_coded_before == 1


class Files(ImageSource):
    """A file, and a white image after it."""

    name = "files"

    def __init__(self, file):
        super().__init__()
        self.file = file

    def __len__(self):
        return 2

    def location(self, index):
        return f"files:{index + 1}"

    def sample(self, index, rng):
        return Pair([self.file, np.full((16, 16, 3), 255, np.uint8)][index], [""])

    def fingerprint(self):
        return "files"


def stored(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_header(file, marker, height, width):
    """A JPEG file with this size in its header."""
    at = file.index(b"\xff\xc0")
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return file[: at + 1] + bytes([marker]) + file[at + 2 : at + 5] + size + file[at + 9 :]


SHADES = np.repeat(np.repeat(np.array([[30, 90], [150, 210]], np.uint8), 8, 0), 8, 1)
"""An image that shows how it lies."""
IMAGE = Image.fromarray(SHADES).convert("RGB")
PHOTO = stored(IMAGE, "JPEG")
TURNED = Image.Exif()
TURNED[0x0112] = 6  # viewers turn it a quarter to the right
SOUND = {
    "progressive": (stored(IMAGE, "JPEG", progressive=True), 1),
    "cmyk": (stored(IMAGE.convert("CMYK"), "JPEG"), 1),
    "turned": (stored(IMAGE.rotate(90), "JPEG", exif=TURNED), 1),
    "sixteen bits": (stored(Image.fromarray(SHADES.astype(np.uint16) << 8), "PNG"), 0),
    "lossy webp": (stored(IMAGE, "WEBP", quality=90), 1),
    "lossy webp with a profile": (stored(IMAGE, "WEBP", quality=90, exif=Image.Exif()), 1),
    "lossless webp": (stored(IMAGE, "WEBP", lossless=True), 0),
}
BROKEN = {
    "truncated": (PHOTO[:-10], "a broken image: .*premature end"),
    "zero bytes": (b"", "an empty image file"),
    "giant": (with_header(PHOTO, 0xC0, 65_500, 65_500), "a decompression bomb"),
    "no size": (with_header(PHOTO, 0xC0, 0, 16), "broken image|known format"),
}


@pytest.mark.parametrize(("file", "num_coded_before"), SOUND.values(), ids=SOUND)
@pytest.mark.filterwarnings("ignore:.*compressed with losses already")
def test_files_of_every_form_become_upright_images(file, num_coded_before):
    codec = JpegCodec(16, 16, 95, sampling="grey")
    source = CodecText(Files(file), codec)
    first, white = source.documents()
    assert np.abs(codec.decode(text_to_bytes(first.text)) - SHADES.astype(float)).mean() < 6
    assert (codec.decode(text_to_bytes(white.text)) == 255).all()
    assert source.num_coded_before == num_coded_before


@pytest.mark.parametrize(("file", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_reported_with_origin_and_reason_and_stop_nothing(file, reason):
    source = CodecText(Files(file), JpegCodec(16, 16))
    reject, white = source.documents()
    assert reject.origin == "files:1"
    assert re.search(reason, reject.reason)
    assert isinstance(white, Document)
    assert source.num_coded_before == 0  # what is not used has no losses


@pytest.mark.filterwarnings("ignore:.*compressed with losses already")
def test_a_file_that_claims_arithmetic_codes_stops_nothing():
    source = CodecText(Files(with_header(PHOTO, 0xC9, 16, 16)), JpegCodec(16, 16))
    first, white = source.documents()
    assert isinstance(first, Document | BadSample)
    assert isinstance(white, Document)


def test_test_images_that_cannot_be_completed_are_reported_once_with_the_first_origin(tmp_path):
    codec = JpegCodec(16, 16)
    train_tokenizer(iter(codec.alphabet), 257, tmp_path / "bytes", codec.alphabet)
    options = {"train": [Some()], "test": [Some(), Some()], "share": 0.5}
    data = CodecData(codec, str(tmp_path / "bytes"), num_samples=4, **options)
    message = "2 test images cannot be used .* some:2: not an"
    with pytest.warns(UserWarning, match=message) as warned:
        (batch,) = data.predict_dataloader()
    assert len(warned) == 1
    assert batch["prompt"] == ["some:1", "some:3"] * 2


def test_grey_files_are_the_brightness_of_colours():
    *_, white = CodecText(Some(), GREY).documents()
    assert (GREY.decode(text_to_bytes(white.text)) == 255).all()


def test_the_fingerprint_follows_the_codec():
    other = JpegCodec(16, 16, quality=50, sampling="grey", keep_header=False)
    assert CodecText(Some(), GREY).fingerprint() != CodecText(Some(), other).fingerprint()


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="the codec's are 8x16"):
        next(CodecText(Some(), JpegCodec(8, 16)).documents())


def test_every_digit_is_in_one_split():
    pytest.importorskip("sklearn")
    assert sorted(tenth for some in TENTHS.values() for tenth in some) == list(range(10))
    parts = [Digits(split) for split in TENTHS]
    assert sum(map(len, parts)) == 1797
    pair = parts[0].sample(0, Random(0))
    assert pair.captions == ["0"]
    assert pair.image.shape == (8, 8, 3)
    assert pair.image.max() == 239  # 15 of 16


def test_copies_of_a_digit_differ_and_are_deterministic():
    pytest.importorskip("sklearn")
    digits = Digits("test", copies=3)
    num = len(Digits("test"))
    assert len(digits) == 3 * num
    first, second, third = (digits.sample(5 + n * num, Random(0)) for n in range(3))
    assert first.captions == second.captions == third.captions
    assert second.image.shape == (32, 32, 3)
    assert not np.array_equal(second.image, third.image)
    assert np.array_equal(second.image, digits.sample(5 + num, Random(1)).image)


def test_a_prefix_has_the_tokens_of_its_whole_file():
    codec = JpegCodec(32, 32, sampling="grey", keep_header=False)
    vocabulary = load_tokenizer("assets/digits_bpe")
    source = CodecText(Digits("test"), codec)
    shorter = 0
    for index in range(20):
        pixels = source.pixels(index)
        text, given = codec.text(pixels), codec.prefix(pixels, 0.5)
        (whole,) = vocabulary.encode([text])
        tokens = begin(vocabulary, text, len(given))
        spelt = vocabulary.backend.decode(tokens)
        assert tokens == whole[: len(tokens)]
        assert given.startswith(spelt)
        following = vocabulary.backend.decode(whole[: len(tokens) + 1])
        assert len(following) > len(given)
        shorter += len(spelt) < len(given)
    assert shorter  # a token crosses the border now and then
    assert begin(vocabulary, text, 0) == []
