"""JPEG files taken apart and put together."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from modules.codec_lm.byte_text import ALPHABET, bytes_to_text, text_to_bytes
from modules.codec_lm.jpeg.codec import CELL, JpegCodec
from modules.codec_lm.jpeg.huffman import canonical, read_tables
from modules.codec_lm.jpeg.markers import segments
from modules.codec_lm.prefix import num_given
from tests.modules.codec_lm.jpeg.test_grammar import CASES, image


@CASES
def test_a_sequence_decodes_as_the_ordinary_file_does(sampling, restart, keep_header):
    codec = JpegCodec(20, 30, 40, sampling, restart, keep_header)
    shown = image(codec, np.random.default_rng(0))
    with Image.open(BytesIO(codec.save(shown))) as ordinary:
        assert np.array_equal(codec.decode(codec.encode(shown)), np.asarray(ordinary))
    assert text_to_bytes(codec.text(shown)) == codec.encode(shown)


def test_every_byte_has_its_character_and_other_characters_are_named():
    assert bytes_to_text(bytes(range(256))) == "".join(ALPHABET)
    assert text_to_bytes("".join(ALPHABET)) == bytes(range(256))
    assert (bytes_to_text(b""), text_to_bytes("")) == ("", b"")
    for wrong in ("a", chr(10239), chr(10240 + 256), "\U0001f600", "\ud800"):
        with pytest.raises(ValueError, match="stands for no byte") as error:
            text_to_bytes(ALPHABET[0] + wrong + "b")
        assert repr(wrong) in str(error.value)


def test_the_papers_setting_has_the_lengths_that_were_measured_for_it():
    codec = JpegCodec(256, 256)
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    sequence = codec.encode(np.asarray(Image.fromarray(small).resize((256, 256))))
    assert len(codec.header) == 59
    assert [s.marker for s in segments(codec.tables)][1:-1].count(0xC4) >= 1
    body = sequence[59:]
    assert sum(body.count(bytes([0xFF, 0xD0 + n])) for n in range(8)) == 255
    assert body.count(b"\xff\xd7") == 31


@CASES
def test_a_beginning_holds_its_share_of_the_image_and_no_more(sampling, restart, keep_header):
    codec = JpegCodec(32, 48, 40, sampling, restart, keep_header)
    shown = image(codec, np.random.default_rng(2))
    rows, columns = codec.grid
    for share in (0.0, 0.25, 0.5, 0.9):
        begun = text_to_bytes(codec.prefix(shown, share))
        assert codec.encode(shown).startswith(begun)
        state = codec.grammar.walk(codec.grammar.start, begun)
        wanted = int(share * rows * columns)
        assert state.done <= wanted
        if restart == "mcu":
            assert state.done == wanted
        if 0 < wanted:  # one byte more, and its stuffing, would reach into the next
            sequence = codec.encode(shown)
            next_state = codec.grammar.walk(state, sequence[len(begun) : len(begun) + 2])
            assert next_state.done >= wanted


def test_a_share_of_a_hundred_parts_is_that_many_hundredths():
    assert [num_given(hundredths / 100, 100) for hundredths in range(100)] == [*range(100)]
    assert num_given(0.999, 10) == num_given(np.nextafter(1, 0), 10) == 9
    codec = JpegCodec(16, 16 * 100)
    begun = text_to_bytes(codec.prefix(image(codec, np.random.default_rng(2)), 0.29))
    assert codec.grammar.walk(codec.grammar.start, begun).done == 29


def test_a_beginning_of_all_is_refused():
    codec = JpegCodec(16, 16)
    with pytest.raises(ValueError, match=r"share must be within \[0, 1\), got 1"):
        codec.prefix(np.zeros((16, 16, 3), np.uint8), 1.0)


@CASES
def test_a_file_cut_anywhere_shows_its_whole_rows_and_is_complained_of(
    sampling, restart, keep_header
):
    codec = JpegCodec(40, 24, 40, sampling, restart, keep_header)
    shown = np.random.default_rng(3).integers(0, 256, codec.shape, dtype=np.uint8)
    sequence = codec.encode(shown)
    whole, state = codec.decode(sequence), codec.grammar.start
    side, (rows, columns) = CELL[sampling], codec.grid
    for cut, byte in enumerate(sequence):
        if cut >= keep_header * len(codec.header):
            decoded = codec.decode(sequence[:cut])
            assert decoded.shape == codec.shape
            complete = state.done // columns * side
            if sampling == "4:2:0" and complete < rows * side:
                complete -= 1  # the last line of chrominance is smoothed with the next row
            assert np.array_equal(decoded[: max(0, complete)], whole[: max(0, complete)])
        assert codec.decoder_error(sequence[:cut]) is not None
        state = codec.grammar.advance(state, byte)


def resized(codec, height, width):
    """A sequence whose header, a model's own, names another size."""
    sequence = bytearray(codec.encode(np.zeros(codec.shape, np.uint8)))
    at = sequence.index(b"\xff\xc0") + 5
    sequence[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(sequence)


@pytest.mark.parametrize("size", [(24, 16), (16, 8), (65500, 65500), (10_000, 10_000), (0, 16)])
@pytest.mark.filterwarnings("error")
def test_a_header_of_another_size_shows_nothing_and_is_complained_of(size):
    codec = JpegCodec(16, 16)
    assert codec.decoder_error(resized(codec, 16, 16)) is None
    with pytest.raises(OSError, match=r"pixels|identify"):
        codec.decode(resized(codec, *size))
    assert codec.decoder_error(resized(codec, *size)) is not None


def test_what_is_said_of_another_size_has_both():
    codec = JpegCodec(16, 16)
    error = codec.decoder_error(resized(codec, 24, 16))
    assert error == "24x16 pixels of YCbCr, not 16x16 of YCbCr"
    with pytest.raises(OSError, match="24x16 pixels of RGB, not 16x16 of RGB"):
        codec.decode(resized(codec, 24, 16))


def test_wild_headers_raise_nothing_but_an_os_error():
    codec, rng = JpegCodec(16, 24), np.random.default_rng(4)
    sequence = codec.encode(rng.integers(0, 256, codec.shape, dtype=np.uint8))
    for _ in range(500):
        wild = bytearray(sequence)
        wild[rng.integers(0, len(codec.header))] = rng.integers(256)
        try:
            assert codec.decode(bytes(wild)).shape == codec.shape
        except OSError:
            assert codec.decoder_error(bytes(wild)) is not None


def test_an_image_of_another_size_is_refused_with_both():
    with pytest.raises(ValueError, match=r"\(16, 16, 3\), got uint8 \(8, 16, 3\)"):
        JpegCodec(16, 16).encode(np.zeros((8, 16, 3), np.uint8))


def test_settings_out_of_bounds_are_named():
    with pytest.raises(ValueError, match=r"quality must be within \[1, 100\], got 101"):
        JpegCodec(16, 16, quality=101)


def test_fingerprints_tell_settings_apart():
    settings = [(16, 16), (16, 24), (16, 16, 50), (16, 16, 25, "grey"), (16, 16, 25, "4:4:4")]
    assert len({JpegCodec(*setting).fingerprint() for setting in settings}) == len(settings)


def test_the_fingerprint_follows_the_version_of_libjpeg_turbo(monkeypatch):
    before = JpegCodec(16, 16).fingerprint()
    monkeypatch.setattr("PIL.features.version_feature", lambda name: f"another {name}")
    assert JpegCodec(16, 16).fingerprint() != before


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "4:2:2"}, "sampling must be one of 4:2:0, 4:4:4, grey, got '4:2:2'"),
        ({"restart": "block"}, "restart must be one of mcu, row, none, got 'block'"),
    ],
)
def test_names_that_are_not_known_are_refused_in_python_as_well(options, message):
    with pytest.raises(ValueError, match=message):
        JpegCodec(16, 16, **options)
