"""Words of bits as trees whose equal branches are one, so that equal states are known as such."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class BitNode:
    """Where in a word a reader stands. Two of them are equal only if they are the same.

    Attributes:
        zero: Behind a bit 0; None where it is not legal.
        one: Behind a bit 1.
        symbol: What the word says, behind its last bit.
        lightest: The bits of the lightest word that goes on from here.
        lightest_symbol: What that word says.
        weight: Its bits, and what its symbol weighs.
    """

    zero: "BitNode | None"
    one: "BitNode | None"
    symbol: Any
    lightest: str
    lightest_symbol: Any
    weight: int


@cache
def leaf(symbol: Hashable, weight: int = 0) -> BitNode:
    """The end of a word.

    Args:
        symbol: What it says.
        weight: How many bits its choice costs later on, roughly.
    """
    return BitNode(None, None, symbol, "", symbol, weight)


@cache
def fork(zero: BitNode | None, one: BitNode | None) -> BitNode:
    """A place with a next bit: one of the two may not be legal.

    Raises:
        ValueError: Neither is.
    """
    if zero is not None and (one is None or zero.weight <= one.weight):
        return BitNode(zero, one, None, "0" + zero.lightest, zero.lightest_symbol, 1 + zero.weight)
    if one is None:
        raise ValueError("no bit is legal here.")
    return BitNode(zero, one, None, "1" + one.lightest, one.lightest_symbol, 1 + one.weight)


def free(num: int, behind: BitNode) -> BitNode:
    """So many bits of any kind."""
    for _ in range(num):
        behind = fork(behind, behind)
    return behind


def tree(words: Mapping[str, BitNode]) -> BitNode:
    """The beginning of all words.

    Args:
        words: Bits, none of which begin another one's, and where they lead.
    """
    if "" in words:
        return words[""]
    parts = [{w[1:]: node for w, node in words.items() if w[0] == bit} for bit in "01"]
    zero, one = (tree(part) if part else None for part in parts)
    return fork(zero, one)
