"""The kind of each byte of a file."""

import numpy as np

from modules.codec_lm.byte_grammar import vote
from modules.codec_lm.jpeg.byte_kinds import byte_kinds
from modules.codec_lm.jpeg.codec import JpegCodec
from tests.modules.codec_lm.jpeg.test_grammar import CASES, image


@CASES
def test_markers_stuffing_and_header_stand_where_they_do(sampling, restart, keep_header):
    codec = JpegCodec(24, 40, 60, sampling, restart, keep_header)
    sequence = codec.encode(image(codec, np.random.default_rng(0)))
    kinds = byte_kinds(codec.grammar, sequence)
    assert len(kinds) == len(sequence)
    size = len(codec.header) if keep_header else 0
    assert kinds[:size] == ["header"] * size
    assert "header" not in kinds[size:]
    state = codec.grammar.start
    for name, byte in zip(kinds, sequence, strict=True):
        assert (name == "marker") == (state.phase in ("marker", "number"))
        assert (name == "stuffing") == (state.phase == "stuffing")
        state = codec.grammar.advance(state, byte)


def test_a_plain_image_says_only_that_its_blocks_end():
    codec = JpegCodec(16, 16, sampling="grey", restart="none", keep_header=False)
    sequence = codec.encode(np.full((16, 16), 128, np.uint8))
    # four blocks of 00 (no difference) and 1010 (the end): two bits and four bits each
    assert "".join(f"{byte:08b}" for byte in sequence) == "001010" * 4
    assert byte_kinds(codec.grammar, sequence) == ["dc", "end", "end"]  # the first byte is a tie


def test_a_lighter_image_begins_with_a_size_and_an_amplitude():
    codec = JpegCodec(8, 8, sampling="grey", keep_header=False)
    sequence = codec.encode(np.full((8, 8), 255, np.uint8))
    first = byte_kinds(codec.grammar, sequence)[0]
    bits = "".join(f"{byte:08b}" for byte in sequence)
    tables = codec.grammar.scan.tables[0]
    word = next(bits[:n] for n in range(1, 17) if bits[:n] in tables.first)
    size = tables.first[word]
    assert size > 0
    assert first == ("dc" if len(word) >= min(8 - len(word), size) else "amplitude")


def test_votes_go_to_most_bits_and_to_the_first_where_two_tie():
    assert vote(["ac"] * 3 + ["amplitude"] * 5) == "amplitude"
    assert vote(["dc"] * 4 + ["amplitude"] * 4) == "dc"
