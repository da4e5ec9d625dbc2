"""A macroblock that is a slice of its own, word by word, as x264 writes it (ITU-T H.264, 7.3.5).

With the paper's options it is one of four: left out, and then the same as in the picture before;
moved from an earlier picture as a whole; 16 x 16 pixels predicted from nothing, as one shade; or,
in pictures that hang on nothing, 4 x 4 pixels at a time predicted from those before. Neighbours are
in other slices, so that nothing hangs on them.
"""

from functools import cache, lru_cache
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import Node, fork, free, leaf, tree
from modules.codec_lm.h264.bitstream.blocks import (
    PLACES,
    SHADE,
    WHOLE,
    blocks,
    directions,
    keep,
    table,
)
from modules.codec_lm.h264.bitstream.exp_golomb import unsigned
from modules.codec_lm.h264.bitstream.residual import BlockPlace, after, begin

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


class Place(NamedTuple):
    """What of a slice is being read.

    Attributes:
        step: Kind of word.
        references: Earlier pictures to choose from; 0 in a picture that hangs on nothing.
        coded: Blocks it has, as in `CODED`; `blocks.WHOLE` more where it is one shade.
        block: Number of the block.
        totals: Coefficients of the blocks so far, or directions of prediction before that; 0 where
            nothing hangs on them any more.
        inner: Place within the block.
    """

    step: Step
    references: int
    coded: int = 0
    block: int = 0
    totals: tuple[int, ...] = ()
    inner: BlockPlace | None = None


State = tuple[Node, Place]
MOVED, PARTS = -1, -2


@cache
def types(is_moving: bool) -> Node:
    """Types of macroblocks; symbols are as `Place.coded`, `MOVED` or `PARTS`, of 4 x 4 pixels."""
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
def skip() -> Node:
    """Whether the macroblock is left out: a run of as many."""
    return tree({unsigned(1): leaf(1), unsigned(0): leaf(0, 8)})


@cache
def reference(num: int) -> Node:
    """Which earlier picture, of two or more."""
    words = ["1", "0"] if num == 2 else [unsigned(number) for number in range(num)]
    return tree({word: leaf(0) for word in words})


@cache
def movement() -> Node:
    """How far, in quarters of a pixel."""
    words = {"0" * n + "1": free(n, leaf(0)) for n in range(FARTHEST + 1)}
    return tree(words)


@cache
def coded(is_still: bool) -> Node:
    """Which blocks a macroblock has."""
    some = CODED_STILL if is_still else CODED
    return tree({unsigned(n): leaf(one, 4 * one.bit_count()) for n, one in enumerate(some)})


@cache
def start(references: int) -> State:
    """Before a macroblock, behind the header of its slice."""
    if references:
        return skip(), Place("skip", references)
    return types(False), Place("type", 0)


@lru_cache(1 << 18)
def follow(place: Place, symbol: object) -> State:
    """Behind a word."""
    if place.step == "header":
        assert isinstance(symbol, int)
        return start(symbol)
    if place.step == "block":
        return _within(place, symbol)
    assert isinstance(symbol, int)
    return FOLLOW[place.step](place, symbol)


def _after_skip(place: Place, is_left_out: int) -> State:
    return _stop(place) if is_left_out else (types(True), place._replace(step="type"))


def _after_type(place: Place, some: int) -> State:
    if some == PARTS:
        return directions(0, ()), place._replace(step="direction")
    if some >= WHOLE:
        return ONE, place._replace(step="mode", coded=some)
    if place.references > 1:
        return reference(place.references), place._replace(step="reference")
    return movement(), place._replace(step="across")


def _after_direction(place: Place, direction: int) -> State:
    block = place.block + 1
    if block == len(PLACES):
        return ONE, place._replace(step="shade", block=0, totals=())
    known = keep((*place.totals, direction), blocks(15)[place.block].kept)
    return directions(block, known), place._replace(block=block, totals=known)


def _after_coded(place: Place, some: int) -> State:
    return (ONE, place._replace(step="quantiser", coded=some)) if some else _stop(place)


def _block(place: Place, number: int, totals: tuple[int, ...]) -> State:
    """Before a block, or behind the last one."""
    some = blocks(place.coded)
    if number == len(some):
        return _stop(place)
    node, inner = begin(table(some[number], totals), some[number].size)
    return node, Place("block", place.references, place.coded, number, totals, inner)


def _within(place: Place, symbol: object) -> State:
    assert place.inner is not None
    node, inner = after(place.inner, symbol)
    if node is not None:
        return node, place._replace(inner=inner)
    totals = keep((*place.totals, inner.total), blocks(place.coded)[place.block].kept)
    return _block(place, place.block + 1, totals)


def _stop(place: Place) -> State:
    return ONE, Place("stop", place.references)


FOLLOW = {
    "skip": _after_skip,
    "type": _after_type,
    "reference": lambda place, _: (movement(), place._replace(step="across")),
    "across": lambda place, _: (movement(), place._replace(step="down")),
    "down": lambda place, _: (coded(False), place._replace(step="coded")),
    "direction": _after_direction,
    "shade": lambda place, _: (coded(True), place._replace(step="coded")),
    "coded": _after_coded,
    "mode": lambda place, _: (ONE, place._replace(step="quantiser")),
    "quantiser": lambda place, _: _block(place, 0, ()),
    "stop": lambda place, _: (leaf(0), Place("full", place.references)),
}
"""By the kind of word that was read."""


@lru_cache(1 << 16)
def shortest(place: Place, symbol: object) -> str:
    """The bits of a short way to the end of the slice, behind a word; none behind the last one.

    What is left of it after its first bits is the short way from where they lead.
    """
    node, behind = follow(place, symbol)
    return "" if behind.step == "full" else node.way + shortest(behind, node.aim)
