"""A block of coefficients in H.264, word by word (ITU-T H.264, 7.3.5.3.2)."""

from functools import lru_cache
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import BitNode
from modules.codec_lm.h264.bitstream.cavlc import ONES, level, run, signs, token, zeros

Step = Literal["token", "signs", "level", "zeros", "run", "done"]
STEEP = 10
"""Coefficients above which the first one has a bit at its end."""


class ResidualState(NamedTuple):
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


def begin(table: int, size: int) -> tuple[BitNode, ResidualState]:
    """Before a block.

    Args:
        table: Of the first word; see `cavlc`.
        size: Places of the block.
    """
    return token(table, size), ResidualState("token", size)


@lru_cache(1 << 16)
def after(state: ResidualState, symbol: object) -> tuple[BitNode | None, ResidualState]:
    """Behind a word; no node where the block is done."""
    if state.step == "token":
        assert isinstance(symbol, tuple)
        return _after_token(state, *symbol)
    assert isinstance(symbol, int)
    if state.step == "signs":
        return _levels(state)
    if state.step == "level":
        return _levels(state._replace(left=state.left - 1, suffix=symbol, is_larger=False))
    if state.step == "zeros":
        return _runs(state._replace(left=state.total - 1, zeros=symbol))
    return _runs(state._replace(left=state.left - 1, zeros=state.zeros - symbol))


def _after_token(
    state: ResidualState, total: int, ones: int
) -> tuple[BitNode | None, ResidualState]:
    if total == 0:
        return None, state._replace(step="done")
    suffix, is_larger = int(total > STEEP and ones < ONES), ones < ONES
    state = ResidualState("signs", state.size, total, total - ones, suffix, is_larger)
    return (signs(ones), state) if ones else _levels(state)


def _levels(state: ResidualState) -> tuple[BitNode | None, ResidualState]:
    """At the next coefficient, or behind the last one."""
    if state.left:
        return level(state.suffix, state.is_larger), state._replace(step="level")
    if state.total == state.size:
        return None, ResidualState("done", state.size, state.total)
    return zeros(state.total, state.size), ResidualState("zeros", state.size, state.total)


def _runs(state: ResidualState) -> tuple[BitNode | None, ResidualState]:
    """At the zeros before the next coefficient, or behind all of them."""
    if state.left and state.zeros:
        return run(state.zeros), state._replace(step="run")
    return None, ResidualState("done", state.size, state.total)
