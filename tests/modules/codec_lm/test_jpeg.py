"""JPEG files taken apart and put together."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from modules.codec_lm.huffman import canonical, read_tables
from modules.codec_lm.jpeg import JpegCodec
from modules.codec_lm.markers import segments
from modules.codec_lm.spelling import unspell
from tests.modules.codec_lm.test_grammar import CASES, picture


@CASES
def test_a_sequence_decodes_as_the_ordinary_file_does(sampling, restart, keep_header):
    codec = JpegCodec(20, 30, 40, sampling, restart, keep_header)
    shown = picture(codec, np.random.default_rng(0))
    with Image.open(BytesIO(codec.save(shown))) as ordinary:
        assert np.array_equal(codec.decode(codec.encode(shown)), np.asarray(ordinary))
    assert unspell(codec.text(shown)) == codec.encode(shown)


def test_the_papers_setting_has_the_lengths_that_were_measured_for_it():
    codec = JpegCodec(256, 256)
    dice = np.random.default_rng(1)
    small = dice.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    sequence = codec.encode(np.asarray(Image.fromarray(small).resize((256, 256))))
    assert len(codec.header) == 59
    assert [s.marker for s in segments(codec.tables)][1:-1].count(0xC4) >= 1
    body = sequence[59:]
    assert sum(body.count(bytes([0xFF, 0xD0 + n])) for n in range(8)) == 255
    assert body.count(b"\xff\xd7") == 31


@CASES
def test_a_beginning_holds_its_share_of_the_picture_and_no_more(sampling, restart, keep_header):
    codec = JpegCodec(32, 48, 40, sampling, restart, keep_header)
    shown = picture(codec, np.random.default_rng(2))
    rows, columns = codec.grid
    for share in (0.0, 0.25, 0.5, 0.9):
        begun = unspell(codec.beginning(shown, share))
        assert codec.encode(shown).startswith(begun)
        place = codec.grammar.walk(codec.grammar.start, begun)
        wanted = int(share * rows * columns)
        assert place.done <= wanted
        if restart == "mcu":
            assert place.done == wanted
        if 0 < wanted:  # one byte more, and its stuffing, would reach into the next
            sequence = codec.encode(shown)
            behind = codec.grammar.walk(place, sequence[len(begun) : len(begun) + 2])
            assert behind.done >= wanted


def test_a_beginning_of_all_is_refused():
    codec = JpegCodec(16, 16)
    with pytest.raises(ValueError, match=r"share must be within \[0, 1\), got 1"):
        codec.beginning(np.zeros((16, 16, 3), np.uint8), 1.0)


def test_a_picture_of_another_size_is_refused_with_both():
    with pytest.raises(ValueError, match=r"\(16, 16, 3\), got uint8 \(8, 16, 3\)"):
        JpegCodec(16, 16).encode(np.zeros((8, 16, 3), np.uint8))


def test_settings_out_of_bounds_are_named():
    with pytest.raises(ValueError, match=r"quality must be within \[1, 100\], got 101"):
        JpegCodec(16, 16, quality=101)


def test_fingerprints_tell_settings_apart():
    settings = [(16, 16), (16, 24), (16, 16, 50), (16, 16, 25, "grey"), (16, 16, 25, "4:4:4")]
    assert len({JpegCodec(*setting).fingerprint() for setting in settings}) == len(settings)


def test_tables_are_prefix_codes_of_all_symbols():
    for table in read_tables(JpegCodec(16, 16).tables):
        assert sorted(table.first.values()) == list(range(12))
        assert len(set(table.rest.values())) == 162
        for code in (table.first, table.rest):
            words = sorted(code)
            assert not any(b.startswith(a) for a, b in pairwise(words))


def test_a_canonical_code_counts_upwards():
    counts = bytes([0, 2, 1, *[0] * 13])
    assert canonical(counts, b"\x07\x05\x09") == {"00": 7, "01": 5, "100": 9}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "with nothing"),
        (b"\x89PNG", "with 89 50"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "wants 16 bytes, the file has 6 more"),
        (b"\xff\xd8\x00", "breaks off at byte 2"),
    ],
)
def test_what_is_no_jpeg_is_refused(file, message):
    with pytest.raises(ValueError, match=message):
        list(segments(file))
