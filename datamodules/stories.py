"""Little English stories without end, for a language model that trains in minutes."""

import json
from collections.abc import Callable, Iterator
from random import Random

from datamodules import friend_tales, object_tales
from datamodules.documents import Document
from datamodules.sources import TextSource
from datamodules.story_words import Teller

GRAMMAR = 1
"""Version of words and plots; raised when a story changes, so that cached tokens are made anew."""

PLOTS: tuple[Callable[[Teller], list[str]], ...] = (
    object_tales.lost_and_found,
    object_tales.sharing,
    object_tales.present,
    object_tales.mixed_up,
    object_tales.baking,
    object_tales.seed,
    friend_tales.hide_and_seek,
    friend_tales.thunder,
    friend_tales.rescue,
    friend_tales.building,
    friend_tales.race,
)
"""All plots; each tells a story of five to nine sentences."""


class StoryText(TextSource):
    """Stories from a small grammar; needs no file.

    Args:
        num: Number of stories.
        seed: Another seed tells other stories: keep those of training and test apart.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1.
    """

    def __init__(self, num: int, seed: int = 0, weight: float = 1.0):
        super().__init__(weight)
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        self.num = num
        self.seed = seed

    @property
    def name(self) -> str:
        """Number and seed."""
        return f"stories:{self.num}:{self.seed}"

    def fingerprint(self) -> str:
        """Version of the grammar, number and seed."""
        return json.dumps(["StoryText", GRAMMAR, self.num, self.seed])

    def documents(self) -> Iterator[Document]:
        """The stories 0 to `num` of this seed."""
        for index in range(self.num):
            yield Document(story(self.seed, index), f"{self.name}:{index + 1}")


def story(seed: int, index: int) -> str:
    """One story, always the same for the same arguments.

    Args:
        seed: Which series.
        index: Which story of the series.

    Returns:
        Five to nine sentences on one line.
    """
    teller = Teller(Random(f"{seed}/{index}"))
    return " ".join(teller.word(PLOTS)(teller))
