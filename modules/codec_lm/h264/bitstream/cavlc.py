"""CAVLC, the codes of the coefficients of a block (ITU-T H.264, 9.2), as binary trees.

A block gives the number of its nonzero coefficients and of its trailing ones (1 or -1 at the end);
the signs of these; the other levels, last one first; the number of zeros before the last
coefficient; and the run of zeros before each of the others.
"""

from functools import cache

from modules.codec_lm.h264.bitstream.bit_tree import BitNode, free, leaf, tree

TOKENS = (  # table 9-5: a line a number of coefficients, a column a number of trailing ones
    """
    1
    000101 01
    00000111 000100 001
    000000111 00000110 0000101 00011
    0000000111 000000110 00000101 000011
    00000000111 0000000110 000000101 0000100
    0000000001111 00000000110 0000000101 00000100
    0000000001011 0000000001110 00000000101 000000100
    0000000001000 0000000001010 0000000001101 0000000100
    00000000001111 00000000001110 0000000001001 00000000100
    00000000001011 00000000001010 00000000001101 0000000001100
    000000000001111 000000000001110 00000000001001 00000000001100
    000000000001011 000000000001010 000000000001101 00000000001000
    0000000000001111 000000000000001 000000000001001 000000000001100
    0000000000001011 0000000000001110 0000000000001101 000000000001000
    0000000000000111 0000000000001010 0000000000001001 0000000000001100
    0000000000000100 0000000000000110 0000000000000101 0000000000001000
    """,
    """
    11
    001011 10
    000111 00111 011
    0000111 001010 001001 0101
    00000111 000110 000101 0100
    00000100 0000110 0000101 00110
    000000111 00000110 00000101 001000
    00000001111 000000110 000000101 000100
    00000001011 00000001110 00000001101 0000100
    000000001111 00000001010 00000001001 000000100
    000000001011 000000001110 000000001101 00000001100
    000000001000 000000001010 000000001001 00000001000
    0000000001111 0000000001110 0000000001101 000000001100
    0000000001011 0000000001010 0000000001001 0000000001100
    0000000000111 00000000001011 0000000000110 0000000001000
    00000000001001 00000000001000 00000000001010 0000000000001
    00000000000111 00000000000110 00000000000101 00000000000100
    """,
    """
    1111
    001111 1110
    001011 01111 1101
    001000 01100 01110 1100
    0001111 01010 01011 1011
    0001011 01000 01001 1010
    0001001 001110 001101 1001
    0001000 001010 001001 1000
    00001111 0001110 0001101 01101
    00001011 00001110 0001010 001100
    000001111 00001010 00001101 0001100
    000001011 000001110 00001001 00001100
    000001000 000001010 000001101 00001000
    0000001101 000000111 000001001 000001100
    0000001001 0000001100 0000001011 0000001010
    0000000101 0000001000 0000000111 0000000110
    0000000001 0000000100 0000000011 0000000010
    """,
    """
    01
    000111 1
    000100 000110 001
    000011 0000011 0000010 000101
    000010 00000011 00000010 0000000
    """,
)
"""For neighbours with 0 or 1 coefficients, 2 or 3, 4 to 7; and for chrominance DC."""
FIXED = 3
"""Index of the table for neighbours with 8 coefficients or more: six bits a word."""
FIRST_OF_CHROMA = 4
"""Index of the table for chrominance DC."""
ZEROS = """
1 011 010 0011 0010 00011 00010 000011 000010\
 0000011 0000010 00000011 00000010 000000011 000000010 000000001
111 110 101 100 011 0101 0100 0011 0010 00011 00010 000011 000010 000001 000000
0101 111 110 101 0100 0011 100 011 0010 00011 00010 000001 00001 000000
00011 111 0101 0100 110 101 100 0011 011 0010 00010 00001 00000
0101 0100 0011 111 110 101 100 011 0010 00001 0001 00000
000001 00001 111 110 101 100 011 010 0001 001 000000
000001 00001 101 100 011 11 010 0001 001 000000
000001 0001 00001 011 11 10 010 001 000000
000001 000000 0001 11 10 001 01 00001
00001 00000 001 11 10 01 0001
0000 0001 001 010 1 011
0000 0001 01 1 001
000 001 1 01
00 01 1
0 1
"""
"""Zeros before the last coefficient, a line a number of coefficients (tables 9-7, 9-8)."""
ZEROS_OF_CHROMA = """
1 01 001 000
1 01 00
1 0
"""
"""The same for chrominance DC (table 9-9 a)."""
RUNS = """
1 0
1 01 00
11 10 01 00
11 10 01 001 000
11 10 011 010 001 000
11 000 001 011 010 101 100
111 110 101 100 011 010 001 0001 00001 000001 0000001 00000001 000000001 0000000001 00000000001
"""
"""Run of zeros before a coefficient, a line a number of zeros left, from 1 (table 9-10)."""
MANY = 7
"""Zeros left from which on the code is the same."""
ONES = 3
"""Most trailing ones."""
LONGEST = 15
"""Longest level prefix of the baseline profile, in zeros."""
STEEPEST = 6
"""Most bits of a level suffix, escapes aside."""


@cache
def token(table: int, size: int) -> BitNode:
    """Code of the numbers of coefficients and trailing ones (coeff_token).

    Args:
        table: Index of the table, 0 to 4; see above.
        size: Coefficients of the block, zeros included.

    Returns:
        A tree whose symbols are pairs: coefficients, trailing ones.
    """
    words = _fixed() if table == FIXED else _read(TOKENS[min(table, FIXED)])
    return tree(
        {
            word: leaf((total, ones), 2 * total)
            for (total, ones), word in words.items()
            if total <= size
        }
    )


def _read(text: str) -> dict[tuple[int, int], str]:
    rows = text.split("\n")[1:-1]
    return {(n, k): word for n, row in enumerate(rows) for k, word in enumerate(row.split())}


def _fixed() -> dict[tuple[int, int], str]:
    pairs = [(n, k) for n in range(1, 17) for k in range(min(ONES, n) + 1)]
    return {(0, 0): "000011"} | {(n, k): f"{4 * (n - 1) + k:06b}" for n, k in pairs}


@cache
def signs(num: int) -> BitNode:
    """Code of the signs of `num` trailing ones."""
    return free(num, leaf(0))


@cache
def level(suffix: int, is_larger: bool) -> BitNode:
    """Code of a level (9.2.2.1).

    Args:
        suffix: Length of its suffix, escapes aside.
        is_larger: Whether it is known to be neither 1 nor -1.

    Returns:
        A tree whose symbols are the suffix lengths of the next level.
    """
    return tree(
        {"0" * n + "1": _after_prefix(n, suffix, is_larger) for n in range(LONGEST + 1)},
    )


def _after_prefix(prefix: int, suffix: int, is_larger: bool) -> BitNode:
    """Code of the suffix after a prefix of `prefix` zeros and a one."""
    if prefix == LONGEST:
        return free(12, leaf(_steeper(suffix, 1 << 12)))
    width = 4 if prefix == LONGEST - 1 and suffix == 0 else suffix
    numbers = [(prefix << suffix) + n + 2 * is_larger for n in range(1 << width)]
    words = {f"{n:0{width}b}": leaf(_steeper(suffix, m // 2 + 1)) for n, m in enumerate(numbers)}
    return tree(words) if width else leaf(_steeper(suffix, numbers[0] // 2 + 1))


def _steeper(suffix: int, size: int) -> int:
    """Suffix length of the level after one of magnitude `size`."""
    suffix = max(1, suffix)
    return suffix + (size > 3 << (suffix - 1) and suffix < STEEPEST)


@cache
def zeros(total: int, size: int) -> BitNode:
    """Code of the zeros before the last of `total` coefficients, in a block of `size`."""
    rows = (ZEROS_OF_CHROMA if size == 4 else ZEROS).split("\n")[1:-1]
    words = rows[total - 1].split()[: size - total + 1]
    return tree({w: leaf(n, bool(n) * (total - 1)) for n, w in enumerate(words)})


@cache
def run(left: int) -> BitNode:
    """Code of the run of zeros before one coefficient, of those left."""
    words = RUNS.split("\n")[1:-1][min(left, MANY) - 1].split()[: left + 1]
    return tree({word: leaf(length) for length, word in enumerate(words)})
