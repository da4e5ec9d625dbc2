"""Units of byte streams, and numbers in bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader, fixed, unsigned
from modules.codec_lm.h264.bitstream.nal import FIRST, START, Unit, escape, join, unescape, units

ROUGH = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=60).map(bytes)
"""Bytes with many zeros."""


@given(ROUGH)
def test_what_is_escaped_comes_back_the_same(payload):
    assert unescape(escape(payload)) == payload


@given(ROUGH)
def test_an_escaped_payload_holds_no_start_code(payload):
    body = escape(payload)
    assert not any(bytes([0, 0, byte]) in body for byte in (0, 1, 2))
    for at in range(len(body) - 3):
        if body[at : at + 3] == b"\x00\x00\x03":
            assert body[at + 3] <= 3


@given(ROUGH)
def test_escapes_stand_where_the_plain_loop_puts_them(payload):
    body, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            body.append(3)
            zeros = 0
        body.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    assert escape(payload) == bytes(body)


@given(st.lists(st.lists(ROUGH, min_size=1, max_size=4), min_size=1, max_size=4))
def test_units_come_back_from_their_stream(payloads):
    frames = [[Unit(b"\x41" + escape(p) + b"\x80") for p in some] for some in payloads]
    stream = join(frames)
    assert units(stream) == [unit for frame in frames for unit in frame]
    assert stream.count(FIRST) == len(frames)
    assert stream.count(START) == sum(map(len, frames))


def signed(number: int) -> str:
    """Signed Exp-Golomb code, se(v): the index in 0, 1, -1, 2, -2 and so on."""
    return unsigned(2 * number - 1 if number > 0 else -2 * number)


@given(st.integers(0, 100_000), st.integers(-50_000, 50_000), st.integers(0, 12))
def test_numbers_come_back_from_bits(first, second, width):
    bits = unsigned(first) + signed(second) + fixed(1, width + 1)
    bits += "0" * (-len(bits) % 8)
    reader = BitReader(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    assert (reader.unsigned(), reader.signed(), reader.fixed(width + 1)) == (first, second, 1)


def test_numbers_are_those_of_the_standards_table():
    assert [unsigned(n) for n in range(4)] == ["1", "010", "011", "00100"]  # 9.1, table 9-2
    assert [signed(n) for n in (0, 1, -1, 2)] == ["1", "010", "011", "00100"]  # table 9-3


def test_a_unit_that_breaks_off_is_refused():
    with pytest.raises(ValueError, match="breaks off after 8 bits"):
        BitReader(b"\x00").unsigned()


def test_a_stream_without_units_is_refused():
    with pytest.raises(ValueError, match="no start code in 4 bytes"):
        units(b"none")
