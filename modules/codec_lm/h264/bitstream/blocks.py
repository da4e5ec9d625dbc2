"""The blocks of a macroblock that is a slice of its own, and which of them hang on which.

Legend: a macroblock has 16 blocks of luminance, of 4 x 4 pixels each, and 4 of each chrominance.
"""

from functools import cache
from typing import NamedTuple

from modules.codec_lm.h264.bitstream.bit_tree import BitNode, leaf, tree
from modules.codec_lm.h264.bitstream.cavlc import FIRST_OF_CHROMA, FIXED

SHADE = 2
"""Prediction of a whole macroblock from nothing: the mean, which is grey here (table 8-4)."""
FROM_LEFT, FROM_ABOVE = {1, 4, 5, 6, 8}, {0, 3, 4, 5, 6, 7}
"""Directions that need the block on the left, and the one above (table 8-2)."""


class Block(NamedTuple):
    """A block of a macroblock.

    Attributes:
        size: Its places.
        table: Of its first word, where that hangs on no other block.
        left: Number of the block on its left; None outside of the macroblock, `PLAIN` where there
            is one without coefficients.
        above: Likewise.
        kept: Blocks up to this one that later ones hang on.
    """

    size: int
    table: int | None
    left: int | None = None
    above: int | None = None
    kept: frozenset[int] = frozenset()


PLAIN = -1
"""A block without coefficients."""
WHOLE = 64
"""What `coded` is at least, where the macroblock is predicted as one shade."""
LUMA_POSITIONS = [(n % 2 + n // 4 % 2 * 2, n // 2 % 2 + n // 8 * 2) for n in range(16)]
"""Column and row of each block of luminance (6.4.3)."""


@cache
def blocks(coded: int) -> tuple[Block, ...]:
    """The blocks of a macroblock, in order (7.3.5.3).

    Args:
        coded: A bit for each quarter of luminance that has any, and 16 times 1 or 2 for
            chrominance, its first coefficients alone or the others too; `WHOLE` more where it is
            one shade.
    """
    is_still, chroma = coded >= WHOLE, coded % WHOLE // 16
    found = [Block(16, 0)] if is_still else []
    number: dict[tuple[int, int, int], int] = {}  # by plane, column and row
    size = 15 if is_still else 16
    for n, (column, row) in enumerate(LUMA_POSITIONS):
        if coded >> n // 4 & 1:
            number[0, column, row] = len(found)
            found.append(_beside(number, 0, column, row, size))
    found += [Block(4, FIRST_OF_CHROMA)] * 2 if chroma else []
    for plane, n in ((p, n) for p in (1, 2) for n in range(4) if chroma == 2):
        number[plane, n % 2, n // 2] = len(found)
        found.append(_beside(number, plane, n % 2, n // 2, 15))
    return _with_kept(found)


def _beside(
    number: dict[tuple[int, int, int], int], plane: int, column: int, row: int, size: int
) -> Block:
    left = number.get((plane, column - 1, row), PLAIN) if column else None
    above = number.get((plane, column, row - 1), PLAIN) if row else None
    return Block(size, None, left, above)


def _with_kept(found: list[Block]) -> tuple[Block, ...]:
    kept: set[int] = set()
    behind = []
    for number in reversed(range(len(found))):
        behind.append(found[number]._replace(kept=frozenset(k for k in kept if k <= number)))
        kept |= {n for n in (found[number].left, found[number].above) if n is not None}
    return tuple(reversed(behind))


def keep(totals: tuple[int, ...], kept: frozenset[int]) -> tuple[int, ...]:
    """Zeros in place of what nothing hangs on any more."""
    return tuple([total if n in kept else 0 for n, total in enumerate(totals)])  # a list is faster


@cache
def directions(number: int, known: tuple[int, ...]) -> BitNode:
    """How a block of 4 x 4 pixels is predicted, where its neighbours allow it (8.3.1.1, 8.3.1.2).

    Args:
        number: Of the block.
        known: Directions of those before.
    """
    (column, row), block = LUMA_POSITIONS[number], blocks(15)[number]
    is_inside = block.left is not None and block.above is not None
    expected = min(known[block.left or 0], known[block.above or 0]) if is_inside else SHADE
    others = [n for n in range(9) if n != expected]
    words = {f"0{n:03b}": other for n, other in enumerate(others)} | {"1": expected}
    needs = {n: (n in FROM_LEFT and not column) or (n in FROM_ABOVE and not row) for n in range(9)}
    return tree({word: leaf(way, 0) for word, way in words.items() if not needs[way]})


def table(block: Block, totals: tuple[int, ...]) -> int:
    """Which code the first word of a block is in (9.2.1)."""
    if block.table is not None:
        return block.table
    beside = [0 if n == PLAIN else totals[n] for n in (block.left, block.above) if n is not None]
    expected = (sum(beside) + len(beside) - 1) // len(beside) if beside else 0
    return 0 if expected < 2 else 1 if expected < 4 else 2 if expected < 8 else FIXED
