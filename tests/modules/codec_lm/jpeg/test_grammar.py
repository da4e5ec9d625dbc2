"""The automaton of JPEG files accepts every file, and everything it generates is one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.codec_lm.jpeg.codec import JpegCodec

SAMPLINGS = "4:2:0", "4:4:4", "grey"
RESTARTS = "mcu", "row", "none"
SETTINGS = list(product(SAMPLINGS, RESTARTS, (True, False)))
CASES = pytest.mark.parametrize(("sampling", "restart", "keep_header"), SETTINGS)


def is_sound(codec, sequence):
    """Whether libjpeg opens the file without a warning."""
    return codec.decoder_error(sequence) is None


def image(codec, rng):
    """Smooth, rough or plain."""
    size = int(rng.choice([1, 2, 5, 64]))
    small = rng.integers(0, 256, (size, size, *codec.shape[2:]), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((codec.width, codec.height)))


def write(codec, rng, budget=None):
    """A sequence of legal bytes drawn at random."""
    grammar = codec.grammar
    state, sequence = grammar.start, bytearray()
    while not grammar.is_end(state):
        left = None if budget is None else budget - len(sequence)
        byte = int(rng.choice(np.flatnonzero(grammar.legal(state, left))))
        sequence.append(byte)
        state = grammar.advance(state, byte)
    return bytes(sequence)


def check_many(rng, num, least, most, accept):
    """Accepts `num` files, or writes as many, of random sizes over every setting."""
    for number in range(num):
        setting = SETTINGS[number % len(SETTINGS)]
        height, width = rng.integers(least, most + 1, 2).tolist()
        codec = JpegCodec(height, width, int(rng.choice([1, 25, 60, 95, 100])), *setting)
        if accept:
            sequence = codec.encode(image(codec, rng))
            assert codec.grammar.is_end(codec.grammar.walk(codec.grammar.start, sequence))
        else:
            assert is_sound(codec, write(codec, rng)), (setting, height, width)


@CASES
def test_every_file_of_the_encoder_is_accepted(sampling, restart, keep_header):
    rng = np.random.default_rng(1)
    for quality in (1, 25, 95):
        codec = JpegCodec(24, 40, quality, sampling, restart, keep_header)
        for _ in range(3):
            sequence = codec.encode(image(codec, rng))
            assert codec.grammar.is_end(codec.grammar.walk(codec.grammar.start, sequence))


@CASES
def test_legal_bytes_at_random_make_a_file_without_warnings(sampling, restart, keep_header):
    rng = np.random.default_rng(2)
    codec = JpegCodec(24, 40, 25, sampling, restart, keep_header)
    for _ in range(4):
        assert is_sound(codec, write(codec, rng))


def test_the_judge_sees_a_flipped_bit():
    codec = JpegCodec(16, 48)
    sequence = bytearray(codec.encode(image(codec, np.random.default_rng(3))))
    assert is_sound(codec, bytes(sequence))
    sequence[sequence.index(b"\xff\xd0") + 1] ^= 1
    assert not is_sound(codec, bytes(sequence))


@CASES
def test_the_shortest_way_is_never_longer_than_what_a_file_still_takes(
    sampling, restart, keep_header
):
    codec = JpegCodec(17, 33, 60, sampling, restart, keep_header)
    grammar = codec.grammar
    sequence = codec.encode(image(codec, np.random.default_rng(4)))
    state = grammar.start
    for number, byte in enumerate(sequence):
        assert grammar.cost(state) <= len(sequence) - number
        state = grammar.advance(state, byte)
    assert grammar.cost(state) == 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SETTINGS), st.integers(0, 2**32), st.integers(0, 120))
def test_a_file_ends_properly_within_any_budget_that_suffices(setting, seed, more):
    codec = JpegCodec(16, 24, 25, *setting)
    budget = codec.grammar.cost(codec.grammar.start) + more
    sequence = write(codec, np.random.default_rng(seed), budget)
    assert len(sequence) <= budget
    assert is_sound(codec, sequence)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SETTINGS), st.integers(0, 2**32))
def test_the_limit_of_the_budget_changes_nothing_while_there_is_room(setting, seed):
    codec = JpegCodec(8, 40, 25, *setting)
    grammar, rng = codec.grammar, np.random.default_rng(seed)
    state = grammar.start
    while not grammar.is_end(state):
        legal_V = grammar.legal(state)
        for byte in rng.choice(np.flatnonzero(legal_V), 3):
            assert grammar.cost(grammar.advance(state, int(byte))) < grammar.cost(state) + 8
        state = grammar.advance(state, int(rng.choice(np.flatnonzero(legal_V))))


def test_a_budget_without_any_end_is_refused_with_both_numbers():
    grammar = JpegCodec(16, 16).grammar
    with pytest.raises(ValueError, match=r"3 bytes are left, the shortest end needs \d+"):
        grammar.legal(grammar.start, 3)


def test_forced_bytes_are_those_that_alone_are_legal():
    codec = JpegCodec(32, 32)
    grammar = codec.grammar
    sequence = codec.encode(image(codec, np.random.default_rng(5)))
    state = grammar.start
    for byte in sequence:
        legal = np.flatnonzero(grammar.legal(state))
        assert grammar.forced(state) == (byte if len(legal) == 1 else None)
        state = grammar.advance(state, byte)


def test_an_illegal_byte_is_named():
    grammar = JpegCodec(16, 16).grammar
    with pytest.raises(ValueError, match="byte 1: byte D9 is not legal"):
        grammar.walk(grammar.start, b"\xff\xd9")


@pytest.mark.slow
def test_ten_thousand_files_are_accepted():
    rng = np.random.default_rng(6)
    check_many(rng, 10_000, 8, 64, accept=True)
    check_many(rng, 100, 256, 256, accept=True)


@pytest.mark.slow
def test_a_thousand_files_at_random_open_without_a_warning():
    rng = np.random.default_rng(7)
    check_many(rng, 1000, 8, 64, accept=False)
    check_many(rng, 20, 256, 256, accept=False)
