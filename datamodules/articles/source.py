"""Articles with a summary and a stance, and the interface of their sources."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from datamodules.records.document import BadSample


@dataclass(frozen=True)
class Article:
    """One article and what is known about it.

    Attributes:
        id: Unique and stable name.
        origin: File and row, counted from 1; or the generator and the index of the article.
        text: The article.
        summary: Its reference summary; empty if unknown.
        stance: Name of the stance of the article, not of its summary; empty if unknown.
        summary_stance: Name of the stance of its reference summary; empty if unknown.
        asked: Names of the stances that a user asks for its summary; empty if none is asked for.
        part_of: The article that it is a passage of; None for a whole one.
    """

    id: str
    origin: str
    text: str
    summary: str = ""
    stance: str = ""
    asked: tuple[str, ...] = ()
    summary_stance: str = ""
    part_of: "Article | None" = field(default=None, compare=False, repr=False)


class ArticleSource(ABC):
    """A named source of articles."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name for messages."""

    @abstractmethod
    def articles(self) -> Iterator[Article | BadSample]:
        """The articles in a fixed order; unusable ones come as a `BadSample`."""
