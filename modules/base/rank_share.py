"""What one rank of several does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RankShare:
    """One rank of several that share something.

    Attributes:
        rank: Of this one.
        world: Ranks in all.
    """

    rank: int = 0
    world: int = 1

    def of(self, num: int) -> list[int]:
        """Numbers, of so many, that this rank takes: equally many on every rank.

        The last one is taken again where there are too few: weights that are sharded are gathered
        in every forward pass, so that no rank may have fewer batches.
        """
        turns = -(-num // self.world)
        return [min(self.rank + turn * self.world, num - 1) for turn in range(turns)]
