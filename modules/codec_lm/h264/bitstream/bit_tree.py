"""Prefix codes as binary trees with shared subtrees, so that equal states are identical objects."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class BitNode:
    """A node of a code tree, equal to none but itself.

    Attributes:
        zero: Node after a bit 0; None if the bit is not legal.
        one: Node after a bit 1; None if the bit is not legal.
        symbol: Symbol of a complete word; None at inner nodes.
        lightest: Remaining bits of the lightest word from here.
        lightest_symbol: Symbol of that word.
        weight: Number of those bits, plus the weight of that symbol.
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
        symbol: Its symbol.
        weight: Estimate of the bits that this choice costs later.
    """
    return BitNode(None, None, symbol, "", symbol, weight)


@cache
def fork(zero: BitNode | None, one: BitNode | None) -> BitNode:
    """An inner node; at most one of the two bits may be illegal.

    Raises:
        ValueError: Neither bit is legal.
    """
    if zero is not None and (one is None or zero.weight <= one.weight):
        return BitNode(zero, one, None, "0" + zero.lightest, zero.lightest_symbol, 1 + zero.weight)
    if one is None:
        raise ValueError("no bit is legal here.")
    return BitNode(zero, one, None, "1" + one.lightest, one.lightest_symbol, 1 + one.weight)


def free(num: int, node: BitNode) -> BitNode:
    """A node after which come `num` arbitrary bits, then the given node."""
    for _ in range(num):
        node = fork(node, node)
    return node


def tree(words: Mapping[str, BitNode]) -> BitNode:
    """The root of a prefix code.

    Args:
        words: Node at the end of each word; no word is a prefix of another.
    """
    if "" in words:
        return words[""]
    parts = [{w[1:]: node for w, node in words.items() if w[0] == bit} for bit in "01"]
    zero, one = (tree(part) if part else None for part in parts)
    return fork(zero, one)
