"""Articles that a user gives to `predict`."""

from collections.abc import Iterator

from typing_extensions import override

from datamodules.articles.fields import TEXT, Fields
from datamodules.articles.source import Article, ArticleSource
from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Wanted
from datamodules.text.inputs import input_rows


class InputArticles(ArticleSource):
    """Articles as texts, from files, a folder or the standard input.

    Tables may have the other fields of an article as well (`datamodules.articles.fields.KNOWN`),
    such as `asked`.

    Args:
        texts: As of `datamodules.text.inputs.input_rows`.
        key: Column of the articles in tables; None takes `article`, `document` or `text`.
    """

    def __init__(self, texts: list[str] | str, key: str | None = None):
        self.texts = texts
        self.key = key
        self.fields = Fields(None if key is None else {TEXT: key})

    @property
    @override
    def name(self) -> str:
        given = self.texts
        return "texts" if isinstance(given, list) else {"-": "the standard input"}.get(given, given)

    @override
    def articles(self) -> Iterator[Article | BadSample]:
        """Every input in order; one without an article is bad, whatever its row holds.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: There is no text, or the file cannot be read.
        """
        wanted = Wanted(needed=[] if self.key is None else [self.key])
        for place, record in input_rows(self.texts, self.key or TEXT, wanted):
            if isinstance(record, BadSample):  # a blank one too: each input is accounted for
                yield BadSample(place, record.reason)
            else:
                yield attempt(place, self.fields.article, place, record)
