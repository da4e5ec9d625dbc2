"""Names of stances and their indices, and the stances that are asked for."""

from collections.abc import Sequence

from datamodules.articles.source import Article
from datamodules.records.errors import MisfitError

NO_STANCE = -100
"""Index of a stance that is not known."""


class Stances:
    """The stances of a run.

    Args:
        names: Their names by index.
        asked: Stances asked for of every article that names none; None asks for its own.

    Raises:
        ValueError: Two have the same name, there are fewer than two, or another one is asked for.
    """

    def __init__(self, names: Sequence[str], asked: Sequence[str] | None):
        self.names = list(names)
        self.asked = None if asked is None else list(asked)
        if len(set(self.names)) < max(2, len(self.names)) or not all(self.names):
            raise ValueError(f"stances must be two or more different names, got {self._known}.")
        if self.asked is not None and not 0 < len(set(self.asked)) == len(self.asked):
            raise ValueError(f"asked must name each stance once, got [{', '.join(self.asked)}].")
        for name in self.asked or []:
            if name not in self.names:
                raise ValueError(f"asked: the stance {name!r} is none of {self._known}.")

    def check(self, article: Article) -> None:
        """Raise a MisfitError if an article has or asks for an unknown stance."""
        for name in filter(None, (article.stance, article.summary_stance)):
            if name not in self.names:
                raise MisfitError(
                    f"{article.origin}: the stance {name!r} is none of {self._known}: name it in "
                    "data.init_args.stances, or map it by `labels` of its source."
                )
        for name in article.asked:
            if name not in self.names:
                raise MisfitError(
                    f"{article.origin} asks for the stance {name!r}, which is none of "
                    f"{self._known}."
                )

    def index(self, name: str) -> int:
        """Index of a stance; `NO_STANCE` for an empty name."""
        return self.names.index(name) if name else NO_STANCE

    def wanted(self, article: Article) -> list[int]:
        """Indices of the stances that the summary of an article shall have, each once."""
        names = article.asked or self.asked or (article.stance,)
        return [self.index(name) for name in dict.fromkeys(names)]

    @property
    def _known(self) -> str:
        return ", ".join(self.names) or "none"
