"""A macroblock that is a slice of its own, word by word, as x264 writes it (ITU-T H.264, 7.3.5).

With the paper's options it is one of four: left out, and then the same as in the picture before;
moved from an earlier picture as a whole; 16 x 16 pixels predicted from nothing, as one shade; or,
in pictures that hang on nothing, 4 x 4 pixels at a time predicted from those before. Neighbours are
in other slices, so that nothing hangs on them.
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
"""Types of macroblocks in moving pictures before those that hang on nothing (table 7-13)."""
CODED = (
    0, 16, 1, 2, 4, 8, 32, 3, 5, 10, 12, 15, 47, 7, 11, 13, 14, 6, 9, 31, 35, 37, 42, 44, 33, 34,
    36, 40, 39, 43, 45, 46, 17, 18, 20, 24, 19, 21, 26, 28, 23, 27, 29, 30, 22, 25, 38, 41,
)  # fmt: skip
"""Which blocks a moved macroblock has, by number (table 9-4): a bit for each quarter of luminance,
and 16 times 1 or 2 for chrominance, its first coefficients alone or the others too."""
CODED_STILL = (
    47, 31, 15, 0, 23, 27, 29, 30, 7, 11, 13, 14, 39, 43, 45, 46, 16, 3, 5, 10, 12, 19, 21, 26, 28,
    35, 37, 42, 44, 1, 2, 4, 8, 17, 18, 20, 24, 6, 9, 22, 25, 32, 33, 34, 36, 40, 38, 41,
)  # fmt: skip
"""The same for one of blocks of 4 x 4 pixels."""
FARTHEST = 12
"""Zeros at the beginning of a movement: up to 1,023 pixels, of which 4,096 quarters are made."""
ONE = fork(None, leaf(0))
"""A word that is always 1: the usual mode of chrominance, an unchanged quantiser, the stop bit."""


class SyntaxElement(NamedTuple):
    """What of a slice is being read.

    Attributes:
        step: Kind of word.
        references: Earlier pictures to choose from; 0 in a picture that hangs on nothing.
        coded: Blocks it has, as in `CODED`; `blocks.WHOLE` more where it is one shade.
        block: Number of the block.
        totals: Coefficients of the blocks so far, or directions of prediction before that; 0 where
            nothing hangs on them any more.
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
    """Types of macroblocks.

    Symbols are as `SyntaxElement.coded`, or `MOVED`, or `PARTS` (blocks of 4 x 4 pixels).
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
    """Whether the macroblock is left out: a run of as many."""
    return tree({unsigned(1): leaf(1), unsigned(0): leaf(0, 8)})


@cache
def reference(num: int) -> BitNode:
    """Which earlier picture, of two or more."""
    words = ["1", "0"] if num == 2 else [unsigned(number) for number in range(num)]
    return tree({word: leaf(0) for word in words})


@cache
def movement() -> BitNode:
    """How far, in quarters of a pixel."""
    words = {"0" * n + "1": free(n, leaf(0)) for n in range(FARTHEST + 1)}
    return tree(words)


@cache
def coded(is_still: bool) -> BitNode:
    """Which blocks a macroblock has."""
    some = CODED_STILL if is_still else CODED
    return tree({unsigned(n): leaf(one, 4 * one.bit_count()) for n, one in enumerate(some)})


@cache
def start(references: int) -> SliceState:
    """Before a macroblock, behind the header of its slice."""
    if references:
        return skip(), SyntaxElement("skip", references)
    return types(False), SyntaxElement("type", 0)


@lru_cache(1 << 18)
def follow(element: SyntaxElement, symbol: object) -> SliceState:
    """Behind a word."""
    if element.step == "header":
        assert isinstance(symbol, int)
        return start(symbol)
    if element.step == "block":
        return _within(element, symbol)
    assert isinstance(symbol, int)
    return FOLLOW[element.step](element, symbol)


def _after_skip(element: SyntaxElement, is_left_out: int) -> SliceState:
    return _stop(element) if is_left_out else (types(True), element._replace(step="type"))


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


def _block(element: SyntaxElement, number: int, totals: tuple[int, ...]) -> SliceState:
    """Before a block, or behind the last one."""
    some = blocks(element.coded)
    if number == len(some):
        return _stop(element)
    node, inner = begin(table(some[number], totals), some[number].size)
    return node, SyntaxElement("block", element.references, element.coded, number, totals, inner)


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
"""By the kind of word that was read."""


@lru_cache(1 << 16)
def shortest_bits(element: SyntaxElement, symbol: object) -> str:
    """The bits of a short way to the end of the slice, behind a word; none behind the last one.

    What is left of it after its first bits is the short way from where they lead.
    """
    node, behind = follow(element, symbol)
    if behind.step == "full":
        return ""
    return node.lightest + shortest_bits(behind, node.lightest_symbol)
