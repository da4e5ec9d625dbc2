"""A block of coefficients in H.264, word by word (ITU-T H.264, 7.3.5.3.2)."""

from functools import lru_cache
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import Node
from modules.codec_lm.h264.bitstream.cavlc import ONES, level, run, signs, token, zeros

Step = Literal["token", "signs", "level", "zeros", "run", "done"]
STEEP = 10
"""Coefficients above which the first one has a bit at its end."""


class BlockPlace(NamedTuple):
    """What of a block is being read.

    Attributes:
        step: Kind of word.
        size: Places of the block: 4, 15 or 16.
        total: Coefficients that are not zero.
        left: Those of them that are still to come, or whose zeros are.
        suffix: Bits at the end of the next one.
        is_larger: Whether it is known to be none of 1 and -1.
        zeros: Those left.
    """

    step: Step
    size: int
    total: int = 0
    left: int = 0
    suffix: int = 0
    is_larger: bool = False
    zeros: int = 0


def begin(table: int, size: int) -> tuple[Node, BlockPlace]:
    """Before a block.

    Args:
        table: Of the first word; see `cavlc`.
        size: Places of the block.
    """
    return token(table, size), BlockPlace("token", size)


@lru_cache(1 << 16)
def after(place: BlockPlace, symbol: object) -> tuple[Node | None, BlockPlace]:
    """Behind a word; no node where the block is done."""
    if place.step == "token":
        assert isinstance(symbol, tuple)
        return _after_token(place, *symbol)
    assert isinstance(symbol, int)
    if place.step == "signs":
        return _levels(place)
    if place.step == "level":
        return _levels(place._replace(left=place.left - 1, suffix=symbol, is_larger=False))
    if place.step == "zeros":
        return _runs(place._replace(left=place.total - 1, zeros=symbol))
    return _runs(place._replace(left=place.left - 1, zeros=place.zeros - symbol))


def _after_token(place: BlockPlace, total: int, ones: int) -> tuple[Node | None, BlockPlace]:
    if total == 0:
        return None, place._replace(step="done")
    suffix, is_larger = int(total > STEEP and ones < ONES), ones < ONES
    place = BlockPlace("signs", place.size, total, total - ones, suffix, is_larger)
    return (signs(ones), place) if ones else _levels(place)


def _levels(place: BlockPlace) -> tuple[Node | None, BlockPlace]:
    """At the next coefficient, or behind the last one."""
    if place.left:
        return level(place.suffix, place.is_larger), place._replace(step="level")
    if place.total == place.size:
        return None, BlockPlace("done", place.size, place.total)
    return zeros(place.total, place.size), BlockPlace("zeros", place.size, place.total)


def _runs(place: BlockPlace) -> tuple[Node | None, BlockPlace]:
    """At the zeros before the next coefficient, or behind all of them."""
    if place.left and place.zeros:
        return run(place.zeros), place._replace(step="run")
    return None, BlockPlace("done", place.size, place.total)
