"""Automaton over the bytes of a slice of one macroblock, without emulation prevention bytes.

Shape legend: V = the 256 bytes.
"""

from functools import cache, lru_cache
from typing import Literal

from modules.codec_lm.h264.bitstream.bit_tree import leaf, tree
from modules.codec_lm.h264.bitstream.macroblock import (
    SliceState,
    SyntaxElement,
    follow,
    shortest_bits,
)
from modules.codec_lm.h264.bitstream.nal import escape

STILL_WEIGHT = 10_000
"""Estimate of the bits that an intra frame costs."""


@lru_cache(1 << 12)
def opening(headers: tuple[tuple[str, int], ...]) -> SliceState:
    """The state before a slice.

    Args:
        headers: Possible headers, each with its number of reference frames, 0 for intra frames.
    """
    words = {bits: leaf(num, 0 if num else STILL_WEIGHT) for bits, num in headers}
    return tree(words), SyntaxElement("header", 0)


def references(state: SliceState) -> int:
    """Number of reference frames, as far as known."""
    node, element = state
    return int(node.lightest_symbol) if element.step == "header" else element.references


def is_full(state: SliceState) -> bool:
    """Whether the slice is complete, padding included."""
    return state[1].step == "full"


def step(state: SliceState, bit: Literal[0, 1]) -> SliceState | None:
    """The state after a bit; None if the bit is not legal."""
    node, element = state
    if element.step == "full":
        return None if bit else state
    child = node.one if bit else node.zero
    if child is None:
        return None
    return (child, element) if child.symbol is None else follow(element, child.symbol)


@lru_cache(1 << 18)
def reach(state: SliceState, byte: int) -> SliceState | None:
    """The state after a byte; None if the byte is not legal."""
    following: SliceState | None = state
    for shift in range(7, -1, -1):
        if following is None:
            return None
        following = step(following, byte >> shift & 1)  # type: ignore[arg-type] # a bit
    return following


@lru_cache(1 << 13)
def next_states(state: SliceState) -> list[SliceState | None]:
    """The same for each byte, [V]."""
    states: list[SliceState | None] = [state]
    for _ in range(8):
        steps = ((step(s, 0), step(s, 1)) if s is not None else (None, None) for s in states)
        states = [following for pair in steps for following in pair]
    return states


@lru_cache(1 << 16)
def shortest_payload(state: SliceState) -> bytes:
    """Short completion of a slice from a byte boundary, without emulation prevention bytes.

    Without its first byte it is the short completion of the state after that byte.
    """
    node, element = state
    if element.step == "full":
        return b""
    bits = node.lightest + shortest_bits(element, node.lightest_symbol)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@cache
def cost(rest: bytes, zeros: int) -> int:
    """Bytes of the rest of a payload, emulation prevention bytes included.

    Args:
        rest: The rest, without them.
        zeros: Number of bytes 00 just before it, 0 to 2.
    """
    return len(escape(bytes(zeros) + rest)) - zeros
