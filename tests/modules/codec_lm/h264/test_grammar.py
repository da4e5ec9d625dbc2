"""The automaton of H.264 streams accepts every stream, and everything it generates is one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader
from modules.codec_lm.h264.bitstream.nal import FIRST, START, units
from modules.codec_lm.h264.byte_kinds import byte_kinds
from modules.codec_lm.h264.codec import AvcCodec
from modules.codec_lm.h264.grammar import SLACK
from modules.codec_lm.jpeg.byte_kinds import JPEG
from modules.codec_lm.token_grammar import TokenGrammar
from tests.modules.codec_lm.h264.test_codec import moving

QUANTISERS = 1, 2, 4, 8, 12, 20, 30, 37, 44, 51
GOPS = None, 4, 1, 2, None
END = 256


def some_codec(rng, number, most=26, frames=9):
    """Of a random size and setting."""
    height, width = (2 * int(n) for n in rng.integers(1, most, 2))
    length, qp = int(rng.integers(1, frames)), int(rng.choice(QUANTISERS))
    return AvcCodec(height, width, length, qp, gop=GOPS[number % len(GOPS)])


def write(grammar, rng, budget=None):
    """A stream of legal bytes drawn at random."""
    state, sequence = grammar.start, bytearray()
    while not grammar.is_end(state):
        left = None if budget is None else budget - len(sequence)
        byte = int(rng.choice(np.flatnonzero(grammar.legal(state, left))))
        sequence.append(byte)
        state = grammar.advance(state, byte)
    return bytes(sequence)


def check_structure(codec, sequence):
    """As many frames as there should be, each with all macroblocks in order."""
    nal_units, num = units(sequence), codec.parameters.num_macroblocks
    numbers = [BitReader(unit.payload).unsigned() for unit in nal_units]
    assert numbers == list(range(num)) * codec.frames
    assert nal_units[0].kind == 5
    assert all(len({unit.kind for unit in nal_units[at : at + num]}) == 1 for at in numbers[::num])
    assert sequence.count(FIRST) == codec.frames
    assert sequence.count(START) == codec.frames * num


def check_accepted(codec, rng):
    """A stream of the encoder is legal to its end."""
    grammar, sequence = codec.grammar, codec.encode(moving(codec, rng))
    assert grammar.is_end(grammar.walk(grammar.start, sequence)), codec
    return len(sequence)


def test_every_stream_of_the_encoder_is_accepted():
    rng = np.random.default_rng(0)
    for number in range(60):
        check_accepted(some_codec(rng, number), rng)


def test_legal_bytes_at_random_make_a_stream_that_is_not_complained_of():
    rng = np.random.default_rng(1)
    for number in range(16):
        codec = some_codec(rng, number, most=12, frames=4)
        sequence = write(codec.grammar, rng)
        check_structure(codec, sequence)
        assert codec.decoder_error(sequence) is None, (codec, codec.decoder_error(sequence))


def test_the_shortest_way_is_what_a_stream_still_takes_at_most():
    rng = np.random.default_rng(2)
    for number in range(6):
        codec = some_codec(rng, number)
        grammar, sequence = codec.grammar, codec.encode(moving(codec, rng))
        state = grammar.start
        for at, byte in enumerate(sequence):
            assert grammar.cost(state) <= len(sequence) - at + 2  # hardly more
            state = grammar.advance(state, byte)
        assert grammar.cost(state) == 0


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(GOPS), st.integers(0, 2**32), st.integers(0, 300))
def test_a_stream_ends_properly_within_any_budget_that_suffices(gop, seed, more):
    codec = AvcCodec(18, 20, 3, gop=gop)
    budget = codec.grammar.cost(codec.grammar.start) + more
    sequence = write(codec.grammar, np.random.default_rng(seed), budget)
    assert len(sequence) <= budget
    check_structure(codec, sequence)
    assert codec.decoder_error(sequence) is None


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(GOPS), st.integers(0, 2**32))
def test_the_limit_of_the_budget_changes_nothing_while_there_is_room(gop, seed):
    grammar, rng = AvcCodec(16, 32, 3, gop=gop).grammar, np.random.default_rng(seed)
    state = grammar.start
    while not grammar.is_end(state):
        legal = np.flatnonzero(grammar.legal(state))
        assert len(legal)
        for byte in [] if grammar.chooses(state) else rng.choice(legal, 3).tolist():
            assert grammar.cost(grammar.advance(state, byte)) < grammar.cost(state) + SLACK - 1
        state = grammar.advance(state, int(rng.choice(legal)))


@pytest.mark.parametrize("gop", [None, 4])
def test_no_token_makes_the_way_longer_than_the_slack(gop):
    grammar, rng = AvcCodec(16, 18, 8, gop=gop).grammar, np.random.default_rng(10)
    for _ in range(3):
        state, costs = grammar.start, []
        while not grammar.is_end(state):
            costs.append(grammar.cost(state))
            state = grammar.advance(state, int(rng.choice(np.flatnonzero(grammar.legal(state)))))
        for num in (1, 5, 14):
            grown = np.array(costs[num:]) - np.array(costs[:-num])
            assert grown.max() <= grammar.slack(num)


def test_what_is_legal_is_what_can_be_reached():
    rng = np.random.default_rng(3)
    grammar = AvcCodec(16, 32, 2).grammar
    state = grammar.start
    while not grammar.is_end(state):
        legal = grammar.legal(state)
        assert [grammar.reach(state, byte) is not None for byte in range(256)] == legal.tolist()
        state = grammar.advance(state, int(rng.choice(np.flatnonzero(legal))))


def test_a_budget_without_any_end_is_refused_with_both_numbers():
    grammar = AvcCodec(16, 16).grammar
    with pytest.raises(ValueError, match=r"3 bytes are left, the shortest end needs \d+"):
        grammar.legal(grammar.start, 3)


def test_a_clip_that_stands_still_takes_the_shortest_way():
    codec = AvcCodec(32, 32, 5)
    sequence = codec.encode(np.full(codec.shape, 128, np.uint8))
    assert codec.grammar.cost(codec.grammar.start) == len(sequence)


def test_units_in_another_order_are_named():
    codec = AvcCodec(32, 32, 2)
    sequence = codec.encode(moving(codec, np.random.default_rng(4)))
    first, second, *rest = sequence.split(START)[1:]
    swapped = FIRST + START.join([second, first, *rest])
    with pytest.raises(
        ValueError, match=r"byte 5: byte \w\w is not legal in frame 0, macroblock 0"
    ):
        codec.grammar.walk(codec.grammar.start, swapped)


def test_a_beginning_ends_between_two_frames():
    codec = AvcCodec(32, 32, 6)
    coded = codec.encode_frames(moving(codec, np.random.default_rng(5)))
    state = codec.grammar.walk(codec.grammar.start, b"".join(coded[:4]))
    assert (state.frame, state.macroblock, state.phase) == (4, 0, "code")


def test_slices_of_more_macroblocks_have_no_grammar():
    with pytest.raises(ValueError, match="slice_max_mbs is None"):
        _ = AvcCodec(32, 32, slice_max_mbs=None).grammar


def test_what_bytes_say_is_where_they_stand():
    codec = AvcCodec(32, 32)
    sequence = codec.encode(moving(codec, np.random.default_rng(6)))
    kinds = byte_kinds(codec.grammar, sequence)
    assert len(kinds) == len(sequence)
    count = Counter(kinds)
    assert count["unit"] == 4 * codec.frames
    assert count["start_code"] == 3 * count["unit"] + codec.frames
    assert count["escape"] == sum(len(u.body) - 1 - len(u.payload) for u in units(sequence))
    assert min(count[name] for name in ("header", "kind", "coefficient")) > 0


def vocabulary(codec, rng, num=80):
    """All bytes, the end, and words cut out of real streams."""
    words = {bytes([byte]): None for byte in range(256)}
    sequence = b"".join(codec.encode(moving(codec, rng)) for _ in range(3))
    while len(words) < 256 + num:
        at, size = int(rng.integers(len(sequence))), int(rng.integers(2, 14))
        words[sequence[at : at + size]] = None
    return [*list(words)[:256], None, *list(words)[256:]]


def test_a_token_is_legal_exactly_if_all_its_bytes_are():
    rng = np.random.default_rng(7)
    codec = AvcCodec(16, 32, 3)
    grammar, words = codec.grammar, vocabulary(codec, rng)
    tokens = TokenGrammar(grammar, words, END, JPEG)
    state, left, number = grammar.start, grammar.cost(grammar.start) + 100, 0
    while True:
        legal = tokens.legal(state, left)
        for token, word in enumerate(words if number % 5 == 0 else []):
            try:
                next_state = grammar.walk(state, word or b"")
            except ValueError:
                wanted = False
            else:
                fits = grammar.cost(next_state) + 2 <= left
                wanted = grammar.is_end(state) if word is None else fits
            assert legal[token] == wanted, (token, word, state, left)
        token = int(rng.choice(np.flatnonzero(legal)))
        state, left, number = tokens.advance(state, token), left - 1, number + 1
        if token == END:
            break
    assert left >= 0


@pytest.mark.slow
def test_a_thousand_streams_are_accepted():
    rng = np.random.default_rng(8)
    for number in range(1000):
        check_accepted(some_codec(rng, number, most=40, frames=20), rng)
    for _ in range(3):
        check_accepted(AvcCodec(144, 256), rng)


@pytest.mark.slow
def test_three_hundred_streams_at_random_are_not_complained_of():
    rng = np.random.default_rng(9)
    for number in range(300):
        codec = some_codec(rng, number, most=26, frames=6)
        assert codec.decoder_error(write(codec.grammar, rng)) is None, codec
