"""What a text calls the nodes of a graph."""

from random import Random
from typing import Literal

Naming = Literal["numbers", "letters", "people"]
PEOPLE = (
    "Ada Alan Anna Ben Bella Carl Clara Dana David Emil Emma Eva Felix Grace Hana Hugo Igor Ines "
    "Jack Jana Karl Kate Leo Lily Max Mia Noah Nora Olga Oscar Paul Petra Rosa Ruth Simon Sara Tom "
    "Uma Vera Zoe"
).split()
"""First names."""


def node_names(naming: Naming, num: int, rng: Random) -> tuple[str, ...]:
    """A name for each node; people are drawn, the others are counted up.

    Raises:
        ValueError: There are more nodes than people.
    """
    if naming == "numbers":
        return tuple(str(node) for node in range(num))
    if naming == "letters":
        return tuple(letters(node) for node in range(num))
    if num > len(PEOPLE):
        raise ValueError(f"{num} nodes, but there are names for {len(PEOPLE)} people")
    return tuple(rng.sample(PEOPLE, num))


def letters(node: int) -> str:
    """A to Z, then AA, AB and so on."""
    first, last = divmod(node, 26)
    return (letters(first - 1) if first else "") + chr(ord("A") + last)
