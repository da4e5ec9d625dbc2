"""Weights of edges: the three ranges of numbers of the numerical axis."""

from decimal import Decimal
from random import Random
from typing import Literal

Numbers = Literal["small", "large", "decimal"]
"""1 to 10, 10 to 100, and 1.0 to 10.0 with one decimal."""


def draw_weight(numbers: Numbers, rng: Random) -> Decimal:
    """A weight of a range, all equally likely."""
    if numbers == "small":
        return Decimal(rng.randint(1, 10))
    if numbers == "large":
        return Decimal(rng.randint(10, 100))
    return Decimal(rng.randint(10, 100)).scaleb(-1)
