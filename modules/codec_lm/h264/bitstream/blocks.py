"""The blocks of a macroblock that is a slice of its own, and their dependencies.

A macroblock has 16 luminance blocks of 4 x 4 pixels, and 4 blocks of each chrominance component.
"""

from functools import cache
from typing import NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import BitNode, leaf, tree
from modules.codec_lm.h264.bitstream.cavlc import FIRST_OF_CHROMA, FIXED

SHADE = 2
"""DC prediction of a whole macroblock (table 8-4): grey, since it has no neighbours."""
FROM_LEFT, FROM_ABOVE = {1, 4, 5, 6, 8}, {0, 3, 4, 5, 6, 7}
"""Intra prediction modes that need the left block, and the one above (table 8-2)."""


class CoefficientBlock(NamedTuple):
    """A block of a macroblock.

    Attributes:
        size: Number of its coefficients, zeros included.
        table: Index of the table of its first word, if that depends on no other block.
        left: Index of the block on its left; None outside of the macroblock, `PLAIN` for a block
            without coefficients.
        above: Index of the block above; likewise.
        kept: Indices up to this block on which later blocks depend.
    """

    size: int
    table: int | None
    left: int | None = None
    above: int | None = None
    kept: frozenset[int] = frozenset()


PLAIN = -1
"""A block without coefficients."""
WHOLE = 64
"""Added to `coded` for macroblocks with 16 x 16 DC prediction."""
LUMA_POSITIONS = [(n % 2 + n // 4 % 2 * 2, n // 2 % 2 + n // 8 * 2) for n in range(16)]
"""Column and row of each luminance block (6.4.3)."""


@cache
def blocks(coded: int) -> tuple[CoefficientBlock, ...]:
    """The blocks of a macroblock, in order (7.3.5.3).

    Args:
        coded: Coded block pattern: a bit for each luminance quarter with coefficients, plus 16 if
            chrominance has DC coefficients only, or 32 if it has others too; plus `WHOLE` with
            16 x 16 DC prediction.
    """
    is_still, chroma = coded >= WHOLE, coded % WHOLE // 16
    found = [CoefficientBlock(16, 0)] if is_still else []
    index: dict[tuple[int, int, int], int] = {}  # by plane, column and row
    size = 15 if is_still else 16
    for n, (column, row) in enumerate(LUMA_POSITIONS):
        if coded >> n // 4 & 1:
            index[0, column, row] = len(found)
            found.append(_with_neighbours(index, 0, column, row, size))
    found += [CoefficientBlock(4, FIRST_OF_CHROMA)] * 2 if chroma else []
    for plane, n in ((p, n) for p in (1, 2) for n in range(4) if chroma == 2):
        index[plane, n % 2, n // 2] = len(found)
        found.append(_with_neighbours(index, plane, n % 2, n // 2, 15))
    return _with_kept(found)


def _with_neighbours(
    index: dict[tuple[int, int, int], int], plane: int, column: int, row: int, size: int
) -> CoefficientBlock:
    left = index.get((plane, column - 1, row), PLAIN) if column else None
    above = index.get((plane, column, row - 1), PLAIN) if row else None
    return CoefficientBlock(size, None, left, above)


def _with_kept(found: list[CoefficientBlock]) -> tuple[CoefficientBlock, ...]:
    kept: set[int] = set()
    backwards = []
    for index in reversed(range(len(found))):
        backwards.append(found[index]._replace(kept=frozenset(k for k in kept if k <= index)))
        kept |= {n for n in (found[index].left, found[index].above) if n is not None}
    return tuple(reversed(backwards))


def keep(totals: tuple[int, ...], kept: frozenset[int]) -> tuple[int, ...]:
    """The totals, with zeros for blocks on which no later block depends."""
    return tuple([total if n in kept else 0 for n, total in enumerate(totals)])  # a list is faster


@cache
def directions(block_index: int, known: tuple[int, ...]) -> BitNode:
    """Code of the intra prediction modes that a 4 x 4 block can have (8.3.1.1, 8.3.1.2).

    Args:
        block_index: Index of the block.
        known: Modes of the blocks before.
    """
    (column, row), block = LUMA_POSITIONS[block_index], blocks(15)[block_index]
    is_inside = block.left is not None and block.above is not None
    expected = min(known[block.left or 0], known[block.above or 0]) if is_inside else SHADE
    others = [n for n in range(9) if n != expected]
    words = {f"0{n:03b}": other for n, other in enumerate(others)} | {"1": expected}
    lacks = {n: (n in FROM_LEFT and not column) or (n in FROM_ABOVE and not row) for n in range(9)}
    return tree({word: leaf(mode, 0) for word, mode in words.items() if not lacks[mode]})


def table(block: CoefficientBlock, totals: tuple[int, ...]) -> int:
    """Index of the table of a block's first word (9.2.1)."""
    if block.table is not None:
        return block.table
    near = [0 if n == PLAIN else totals[n] for n in (block.left, block.above) if n is not None]
    expected = (sum(near) + len(near) - 1) // len(near) if near else 0
    return 0 if expected < 2 else 1 if expected < 4 else 2 if expected < 8 else FIXED
