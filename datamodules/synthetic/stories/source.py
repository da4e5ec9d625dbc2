"""Any number of little English stories, for a language model that trains in minutes."""

from collections.abc import Callable
from random import Random

from typing_extensions import override

from datamodules.synthetic.stories import friend_plots, object_plots
from datamodules.synthetic.stories.vocabulary import Teller
from datamodules.text.source import SyntheticText

PLOTS: tuple[Callable[[Teller], list[str]], ...] = (
    object_plots.lost_and_found,
    object_plots.sharing,
    object_plots.present,
    object_plots.mixed_up,
    object_plots.baking,
    object_plots.seed,
    friend_plots.hide_and_seek,
    friend_plots.thunder,
    friend_plots.rescue,
    friend_plots.building,
    friend_plots.race,
)
"""All plots; each gives a story of five to nine sentences."""


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
