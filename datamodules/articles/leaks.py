"""Training articles that are evaluated as well."""

from collections.abc import Iterable, Sequence
from typing import Literal

from datamodules.articles.source import Article

LeakField = Literal["text", "summary"]
"""What two articles may share: the opening of their texts, or their summary."""
OPENING = 100
"""Letters and digits that identify a text."""
SHORTEST = 16
"""Letters and digits below which a text is no evidence."""


def without_leaks(
    articles: Sequence[Article], evaluated: Iterable[Article], fields: Sequence[LeakField]
) -> list[Article]:
    """The articles that share nothing with those that are evaluated.

    Case, spaces and punctuation do not count, and of a text no more than its opening, since sets
    cut and quote differently. A passage shares what its article does, its own summary and that of
    the article.

    Args:
        articles: The training articles.
        evaluated: The others.
        fields: What is compared.
    """
    known = {key for one in evaluated for key in keys(one, fields)}
    return [one for one in articles if not known.intersection(keys(one, fields))]


def keys(article: Article, fields: Sequence[LeakField]) -> set[tuple[str, str]]:
    """What identifies an article, and the article that it is a passage of."""
    found = {(field, opening(getattr(article, field))) for field in fields}
    own: set[tuple[str, str]] = {(field, text) for field, text in found if len(text) >= SHORTEST}
    return own if article.part_of is None else own | keys(article.part_of, fields)


def opening(text: str) -> str:
    """The first letters and digits of a text, in lower case."""
    begin = text[: 20 * OPENING].lower()
    return "".join(char for char in begin if char.isalnum())[:OPENING]
