"""Which byte may follow which in a slice of one macroblock, escapes aside.

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
"""Bits that a picture costs if it hangs on nothing, roughly."""


@lru_cache(1 << 12)
def opening(headers: tuple[tuple[str, int], ...]) -> SliceState:
    """Before a slice.

    Args:
        headers: Bits of those it may have, and the earlier pictures that a picture may then hang
            on; 0 for one that hangs on nothing.
    """
    words = {bits: leaf(num, 0 if num else STILL_WEIGHT) for bits, num in headers}
    return tree(words), SyntaxElement("header", 0)


def references(state: SliceState) -> int:
    """Earlier pictures that the picture may hang on, as far as is known."""
    node, element = state
    return int(node.lightest_symbol) if element.step == "header" else element.references


def is_full(state: SliceState) -> bool:
    """Whether the slice is at its end, padding included."""
    return state[1].step == "full"


def step(state: SliceState, bit: Literal[0, 1]) -> SliceState | None:
    """Where a bit leads; None where it is not legal."""
    node, element = state
    if element.step == "full":
        return None if bit else state
    behind = node.one if bit else node.zero
    if behind is None:
        return None
    return (behind, element) if behind.symbol is None else follow(element, behind.symbol)


@lru_cache(1 << 18)
def reach(state: SliceState, byte: int) -> SliceState | None:
    """Where a byte leads; None where it is not legal."""
    found: SliceState | None = state
    for shift in range(7, -1, -1):
        if found is None:
            return None
        found = step(found, byte >> shift & 1)  # type: ignore[arg-type] # a bit
    return found


@lru_cache(1 << 13)
def next_states(state: SliceState) -> list[SliceState | None]:
    """The same for each byte, [V]."""
    found: list[SliceState | None] = [state]
    for _ in range(8):
        steps = ((step(s, 0), step(s, 1)) if s is not None else (None, None) for s in found)
        found = [behind for pair in steps for behind in pair]
    return found


@lru_cache(1 << 16)
def shortest_payload(state: SliceState) -> bytes:
    """Short payload from a whole byte to the end of the slice, without escapes.

    Without its first byte it is the short payload of the state that this byte leads to.
    """
    node, element = state
    if element.step == "full":
        return b""
    bits = node.lightest + shortest_bits(element, node.lightest_symbol)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@cache
def cost(rest: bytes, zeros: int) -> int:
    """Bytes of the rest of a payload, escapes included.

    Args:
        rest: Without escapes.
        zeros: Bytes 00 right before it, 0 to 2.
    """
    return len(escape(bytes(zeros) + rest)) - zeros
