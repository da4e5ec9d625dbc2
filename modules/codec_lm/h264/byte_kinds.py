"""The kind of each byte of an H.264 stream: start code, header, motion, coefficient and so on."""

from typing import Literal, get_args

from modules.codec_lm.byte_grammar import vote
from modules.codec_lm.h264.bitstream.macroblock import SliceState
from modules.codec_lm.h264.bitstream.nal import ESCAPE
from modules.codec_lm.h264.bitstream.slice_payload import step
from modules.codec_lm.h264.grammar import AvcGrammar, AvcState
from modules.codec_lm.token_grammar import ByteKinds

ByteKind = Literal[
    "start_code", "unit", "header", "kind", "movement", "blocks", "coefficient", "escape", "padding"
]  # fmt: skip
"""A start code; the byte after it; slice header; macroblock type and intra prediction; references
and motion vectors; coded block pattern and quantiser; coefficients; an emulation prevention byte;
bits that pad the last byte of a slice."""
BYTE_KINDS: tuple[ByteKind, ...] = get_args(ByteKind)
OF_STEP: dict[str, ByteKind] = {
    "header": "header",
    "skip": "kind",
    "type": "kind",
    "direction": "kind",
    "mode": "kind",
    "shade": "kind",
    "reference": "movement",
    "across": "movement",
    "down": "movement",
    "coded": "blocks",
    "quantiser": "blocks",
    "block": "coefficient",
    "stop": "padding",
    "full": "padding",
}


def byte_kinds(grammar: AvcGrammar, sequence: bytes) -> list[ByteKind]:
    """The kind of every byte: that of most of its bits, of the first of them in a tie.

    Args:
        grammar: The codec's grammar.
        sequence: A stream, or a prefix of one.

    Raises:
        ValueError: The grammar does not accept it.
    """
    state, kinds = grammar.start, []
    for byte in sequence:
        following = grammar.advance(state, byte)
        kinds.append(byte_kind(state, byte))
        state = following
    return kinds


def byte_kind(state: AvcState, byte: int) -> ByteKind:
    """The kind of a legal byte."""
    if state.slice_state is None:
        return "start_code" if state.phase == "code" else "unit"
    if state.phase == "payload" and state.zeros == 2 and byte == ESCAPE:
        return "escape"
    bits: list[ByteKind] = []
    slice_state: SliceState | None = state.slice_state
    for shift in range(7, -1, -1):
        assert slice_state is not None
        bits.append(OF_STEP[slice_state[1].step])
        slice_state = step(slice_state, byte >> shift & 1)  # type: ignore[arg-type] # a bit
    return vote(bits)


AVC = ByteKinds(BYTE_KINDS, byte_kinds)
