"""Which examples are asked, and which are shown before each; all from seeds."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from datamodules.in_context.examples import Example


class Shown(NamedTuple):
    """A demonstration.

    Attributes:
        place: By which demonstrations are put in order; random in [0, 1).
        example: The example.
        chance: A label drawn by chance, whatever the example's is.
    """

    place: float
    example: Example
    chance: str


def by_label(examples: Sequence[Example], labels: Sequence[str]) -> dict[str, list[Example]]:
    """Examples of each class."""
    return {label: [one for one in examples if one.label == label] for label in labels}


def asked(
    examples: Sequence[Example], labels: Sequence[str], num: int | None, balanced: bool, seed: str
) -> list[Example]:
    """A random sample without repetition; a smaller one is the beginning of a larger.

    Args:
        examples: To choose from.
        labels: The classes.
        num: How many; as many as there are where None.
        balanced: Whether all classes are asked equally often, one after the other; where `num` is
            no multiple of their number, some once more.
        seed: Of the draws.

    Raises:
        ValueError: There are too few examples, or of a class; gives both numbers.
    """
    mixed = Random(f"asked/{seed}").sample(examples, len(examples))
    groups = by_label(mixed, labels) if balanced else {"": mixed}
    most = min(map(len, groups.values())) * len(groups)
    wanted = most if num is None else num
    for index, (label, group) in enumerate(groups.items()):
        needed = len(range(index, wanted, len(groups)))
        if needed > len(group):
            whose = f" of label {label!r}" if balanced else ""
            raise ValueError(f"{needed} questions{whose} are wanted, but there are {len(group)}.")
    rows = list(groups.values())
    return [rows[n % len(rows)][n // len(rows)] for n in range(wanted)]


def demonstrations(pool: Mapping[str, list[Example]], num: int, seed: str) -> list[Shown]:
    """As many examples of each class in random order; more of them contain the fewer, in order.

    Args:
        pool: Examples of each class, at least as many as wanted.
        num: Of each class.
        seed: Of the draws.
    """
    drawn = [
        one for label in pool for one in of_class(pool[label], [*pool], num, f"{seed}/{label}")
    ]
    return sorted(drawn, key=lambda one: one.place)


def of_class(group: Sequence[Example], labels: Sequence[str], num: int, seed: str) -> list[Shown]:
    """Demonstrations of one class, one after another, so that the first do not depend on `num`."""
    rng, found = Random(f"shown/{seed}"), dict[int, Shown]()
    while len(found) < num:
        index, place, chance = rng.randrange(len(group)), rng.random(), rng.choice(labels)
        found.setdefault(index, Shown(place, group[index], chance))
    return list(found.values())
