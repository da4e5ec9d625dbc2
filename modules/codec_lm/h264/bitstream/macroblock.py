"""Syntax of a macroblock that is a slice of its own, as x264 writes it (ITU-T H.264, 7.3.5).

With the paper's options there are four types: skipped, a copy from the frame before; inter 16 x 16,
moved from a reference frame as a whole; intra 16 x 16 with DC prediction; and, in I slices only,
intra 4 x 4, each block predicted from those before. Neighbours lie in other slices, so that nothing
depends on them.
"""

from functools import cache, lru_cache
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import BitNode, fork, free, leaf, tree
from modules.codec_lm.h264.bitstream.blocks import (
    LUMA_POSITIONS,
    SHADE,
    WHOLE,
    blocks,
    directions,
    keep,
    table,
)
from modules.codec_lm.h264.bitstream.exp_golomb import unsigned
from modules.codec_lm.h264.bitstream.residual import ResidualState, after, begin

Step = Literal[
    "header", "skip", "type", "reference", "across", "down", "direction", "shade", "coded", "mode",
    "quantiser", "block", "stop", "full",
]  # fmt: skip
STILL_TYPES = 5
"""Inter types of macroblocks, which precede the intra types in P slices (table 7-13)."""
CODED = (
    0, 16, 1, 2, 4, 8, 32, 3, 5, 10, 12, 15, 47, 7, 11, 13, 14, 6, 9, 31, 35, 37, 42, 44, 33, 34,
    36, 40, 39, 43, 45, 46, 17, 18, 20, 24, 19, 21, 26, 28, 23, 27, 29, 30, 22, 25, 38, 41,
)  # fmt: skip
"""Coded block pattern of inter macroblocks, by code number (table 9-4): a bit for each luminance
quarter, plus 16 for chrominance with DC coefficients only, or 32 with others too."""
CODED_STILL = (
    47, 31, 15, 0, 23, 27, 29, 30, 7, 11, 13, 14, 39, 43, 45, 46, 16, 3, 5, 10, 12, 19, 21, 26, 28,
    35, 37, 42, 44, 1, 2, 4, 8, 17, 18, 20, 24, 6, 9, 22, 25, 32, 33, 34, 36, 40, 38, 41,
)  # fmt: skip
"""The same for intra 4 x 4 macroblocks."""
FARTHEST = 12
"""Most leading zeros of a motion vector difference: up to 1,023 pixels, or 4,096 quarters."""
ONE = fork(None, leaf(0))
"""A word that is always 1: DC mode of chrominance, unchanged quantiser, stop bit."""


class SyntaxElement(NamedTuple):
    """The syntax element of a slice that is being read.

    Attributes:
        step: Kind of the element.
        references: Reference frames to choose from; 0 in an I slice.
        coded: Coded block pattern, as in `CODED`; plus `blocks.WHOLE` for intra 16 x 16.
        block: Index of the block.
        totals: Numbers of coefficients of the blocks so far; before that, their intra prediction
            modes. 0 for blocks on which nothing depends any more.
        inner: State within the block.
    """

    step: Step
    references: int
    coded: int = 0
    block: int = 0
    totals: tuple[int, ...] = ()
    inner: ResidualState | None = None


SliceState = tuple[BitNode, SyntaxElement]
MOVED, PARTS = -1, -2


@cache
def types(is_moving: bool) -> BitNode:
    """Code of the macroblock type.

    Symbols are `SyntaxElement.coded` for intra 16 x 16, `MOVED` for inter, `PARTS` for intra 4 x 4.
    """
    offset = STILL_TYPES * is_moving
    words = {
        unsigned(1 + SHADE + 4 * chroma + 12 * luma + offset): leaf(
            WHOLE + 16 * chroma + 15 * luma, 3 + 20 * luma + 8 * chroma
        )
        for chroma in range(3)
        for luma in range(2)
    }
    other = leaf(MOVED, 4) if is_moving else leaf(PARTS, 22)
    return tree(words | {unsigned(0): other})


@cache
def skip() -> BitNode:
    """Code of the skip run: 1 if the macroblock is skipped."""
    return tree({unsigned(1): leaf(1), unsigned(0): leaf(0, 8)})


@cache
def reference(num: int) -> BitNode:
    """Code of the reference frame, of two or more."""
    words = ["1", "0"] if num == 2 else [unsigned(index) for index in range(num)]
    return tree({word: leaf(0) for word in words})


@cache
def movement() -> BitNode:
    """Code of a motion vector component, in quarters of a pixel."""
    words = {"0" * n + "1": free(n, leaf(0)) for n in range(FARTHEST + 1)}
    return tree(words)


@cache
def coded(is_still: bool) -> BitNode:
    """Code of the coded block pattern."""
    patterns = CODED_STILL if is_still else CODED
    return tree({unsigned(n): leaf(p, 4 * p.bit_count()) for n, p in enumerate(patterns)})


@cache
def start(references: int) -> SliceState:
    """The state before a macroblock, after its slice header."""
    if references:
        return skip(), SyntaxElement("skip", references)
    return types(False), SyntaxElement("type", 0)


@lru_cache(1 << 18)
def follow(element: SyntaxElement, symbol: object) -> SliceState:
    """The state after a syntax element."""
    if element.step == "header":
        assert isinstance(symbol, int)
        return start(symbol)
    if element.step == "block":
        return _within(element, symbol)
    assert isinstance(symbol, int)
    return FOLLOW[element.step](element, symbol)


def _after_skip(element: SyntaxElement, is_skipped: int) -> SliceState:
    return _stop(element) if is_skipped else (types(True), element._replace(step="type"))


def _after_type(element: SyntaxElement, some: int) -> SliceState:
    if some == PARTS:
        return directions(0, ()), element._replace(step="direction")
    if some >= WHOLE:
        return ONE, element._replace(step="mode", coded=some)
    if element.references > 1:
        return reference(element.references), element._replace(step="reference")
    return movement(), element._replace(step="across")


def _after_direction(element: SyntaxElement, direction: int) -> SliceState:
    block = element.block + 1
    if block == len(LUMA_POSITIONS):
        return ONE, element._replace(step="shade", block=0, totals=())
    known = keep((*element.totals, direction), blocks(15)[element.block].kept)
    return directions(block, known), element._replace(block=block, totals=known)


def _after_coded(element: SyntaxElement, some: int) -> SliceState:
    return (ONE, element._replace(step="quantiser", coded=some)) if some else _stop(element)


def _block(element: SyntaxElement, index: int, totals: tuple[int, ...]) -> SliceState:
    """The state before a block, or after the last one."""
    coded_blocks = blocks(element.coded)
    if index == len(coded_blocks):
        return _stop(element)
    node, inner = begin(table(coded_blocks[index], totals), coded_blocks[index].size)
    return node, SyntaxElement("block", element.references, element.coded, index, totals, inner)


def _within(element: SyntaxElement, symbol: object) -> SliceState:
    assert element.inner is not None
    node, inner = after(element.inner, symbol)
    if node is not None:
        return node, element._replace(inner=inner)
    totals = keep((*element.totals, inner.total), blocks(element.coded)[element.block].kept)
    return _block(element, element.block + 1, totals)


def _stop(element: SyntaxElement) -> SliceState:
    return ONE, SyntaxElement("stop", element.references)


FOLLOW = {
    "skip": _after_skip,
    "type": _after_type,
    "reference": lambda element, _: (movement(), element._replace(step="across")),
    "across": lambda element, _: (movement(), element._replace(step="down")),
    "down": lambda element, _: (coded(False), element._replace(step="coded")),
    "direction": _after_direction,
    "shade": lambda element, _: (coded(True), element._replace(step="coded")),
    "coded": _after_coded,
    "mode": lambda element, _: (ONE, element._replace(step="quantiser")),
    "quantiser": lambda element, _: _block(element, 0, ()),
    "stop": lambda element, _: (leaf(0), SyntaxElement("full", element.references)),
}
"""The state after a syntax element, by its kind."""


@lru_cache(1 << 16)
def shortest_bits(element: SyntaxElement, symbol: object) -> str:
    """Short completion of the slice after a syntax element; empty after the last one.

    Without its first word it is the short completion after that word.
    """
    node, following = follow(element, symbol)
    if following.step == "full":
        return ""
    return node.lightest + shortest_bits(following, node.lightest_symbol)
