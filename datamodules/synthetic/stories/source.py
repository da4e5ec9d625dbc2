"""Little English stories without end, for a language model that trains in minutes."""

from collections.abc import Callable
from random import Random

from typing_extensions import override

from datamodules.synthetic.stories import friend_plots as friend_tales
from datamodules.synthetic.stories import object_plots as object_tales
from datamodules.synthetic.stories.vocabulary import Teller
from datamodules.text.source import SyntheticText

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


class StoryText(SyntheticText):
    """Stories from a small grammar."""

    kind = "stories"
    grammar = 1

    @override
    def text(self, index: int) -> str:
        return story(self.seed, index)


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
