"""Syntax of a block of coefficients (ITU-T H.264, 7.3.5.3.2)."""

from functools import lru_cache
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import BitNode
from modules.codec_lm.h264.bitstream.cavlc import ONES, level, run, signs, token, zeros

Step = Literal["token", "signs", "level", "zeros", "run", "done"]
STEEP = 10
"""Number of coefficients above which the first level has a suffix of one bit."""


class ResidualState(NamedTuple):
    """Position within a block.

    Attributes:
        step: Kind of the next word.
        size: Coefficients of the block, zeros included: 4, 15 or 16.
        total: Nonzero coefficients.
        left: Those whose levels are still to come; later, those whose runs of zeros are.
        suffix: Suffix length of the next level.
        is_larger: Whether the next level is known to be neither 1 nor -1.
        zeros: Zeros left.
    """

    step: Step
    size: int
    total: int = 0
    left: int = 0
    suffix: int = 0
    is_larger: bool = False
    zeros: int = 0


def begin(table: int, size: int) -> tuple[BitNode, ResidualState]:
    """The state before a block.

    Args:
        table: Index of the table of its first word; see `cavlc`.
        size: Coefficients of the block, zeros included.
    """
    return token(table, size), ResidualState("token", size)


@lru_cache(1 << 16)
def after(state: ResidualState, symbol: object) -> tuple[BitNode | None, ResidualState]:
    """The state after a word; no node if the block is complete."""
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
    """The state before the next level, or after the last one."""
    if state.left:
        return level(state.suffix, state.is_larger), state._replace(step="level")
    if state.total == state.size:
        return None, ResidualState("done", state.size, state.total)
    return zeros(state.total, state.size), ResidualState("zeros", state.size, state.total)


def _runs(state: ResidualState) -> tuple[BitNode | None, ResidualState]:
    """The state before the next run of zeros, or after the last one."""
    if state.left and state.zeros:
        return run(state.zeros), state._replace(step="run")
    return None, ResidualState("done", state.size, state.total)
