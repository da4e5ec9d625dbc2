"""The fields of an article in a row of a table."""

from collections.abc import Iterable, Iterator, Mapping

from datamodules.articles.source import Article
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError, MisfitError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.formats.open import Row
from datamodules.records.labels import Labels, is_missing
from datamodules.records.table import text, texts
from datamodules.records.template import Template
from datamodules.text.normalise import HiddenNames

TEXT = "text"
"""The one field that an article must have."""
KNOWN = {
    TEXT: ("article", "document", "text"),
    "summary": ("summary", "highlights", "title"),
    "stance": ("stance", "label_name"),
    "summary_stance": ("summary_stance",),
    "id": ("id",),
    "asked": ("asked",),
}
"""Field -> its columns in CNN/DailyMail, XSUM, Multi-News and others, the most likely first."""
Condition = str | bool | int | list[str]
"""The value that a column must have, or those that it may have."""


class Fields:
    """How rows contain articles.

    Args:
        columns: Column of each field (`KNOWN`) whose column has another name, or a text with
            columns in braces, such as `{title} {text}`; "" leaves a field out.
        values: Fields that are the same for all rows, such as `{stance: left}`.
        labels: Stance of each label of the table, such as `{0: left}`; "*" is used for all that
            are not named, and an empty name means an unknown stance. None takes labels as they are.
        where: Required value by column, or a list of possible ones.
        hide: Names that articles and summaries must not give away.

    Raises:
        ValueError: `columns` or `values` name an unknown field, or a template is invalid.
    """

    def __init__(
        self,
        columns: Mapping[str, str] | None = None,
        values: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        where: Mapping[str, Condition] | None = None,
        hide: HiddenNames | None = None,
    ):
        self.columns = dict(columns or {})
        self.hide = hide
        self.values = dict(values or {})
        self.labels = Labels(labels)
        self.where = {name: _spellings(value) for name, value in (where or {}).items()}
        for name in [*self.columns, *self.values]:
            if name not in KNOWN:
                known = ", ".join(KNOWN)
                raise ValueError(f"{name!r} is no field of an article; those are {known}.")
        self._templates = {
            name: Template(name, column if "{" in column else f"{{{column}}}")
            for name, column in self.columns.items()
            if column
        }

    @property
    def needed(self) -> list[str]:
        """The columns that a table must have, because they are named."""
        named = [column for one in self._templates.values() for column in one.columns]
        return list(dict.fromkeys([*named, *self.where]))

    def articles(self, rows: Iterable[Row], name: str) -> Iterator[Article | BadSample]:
        """The articles of rows that fulfil the conditions.

        Args:
            rows: The rows.
            name: Name of the source, for messages.

        Raises:
            MisfitError: The first row has no column of articles, a label is unknown, or no row
                fulfils the conditions.
        """
        is_first, is_met = True, False
        for place, record in rows:
            if isinstance(record, BadSample):
                yield record
                continue
            if is_first:
                self._check(place, record)
            is_first = False
            found = attempt(place, self._found, place, record)
            if found is not None:
                is_met = True
                yield found
        if not (is_first or is_met):
            told = ", ".join(f"{key}: {' or '.join(one)}" for key, one in self.where.items())
            raise MisfitError(f"{name}: no row has {told}.")

    def article(self, place: str, record: Record) -> Article:
        """The article of a row.

        Raises:
            BadSampleError: A field cannot be read.
            MisfitError: Its label is unknown.
        """
        return Article(
            id=self._text(record, "id") or place,
            origin=place,
            text=self._hidden(self._text(record, TEXT, is_needed=True)),
            summary=self._hidden(one_line(self._text(record, "summary"))),
            stance=self._stance(record, place, "stance"),
            asked=self._asked(record),
            summary_stance=self._stance(record, place, "summary_stance"),
        )

    def _found(self, place: str, record: Record) -> Article | None:
        """The article of a row, None if the row does not fulfil the conditions."""
        fits = all(str(cell(record, name)) in values for name, values in self.where.items())
        return self.article(place, record) if fits else None

    def _column(self, record: Record, name: str) -> str | None:
        """The column of a field in a row; None if there is none."""
        if name in self.columns:
            return self.columns[name] or None
        return next((column for column in KNOWN[name] if column in record), None)

    def _text(self, record: Record, name: str, is_needed: bool = False) -> str:
        """A field of a row; empty if it has none."""
        if name in self.values:
            return self.values[name]
        if name in self._templates:
            return self._templates[name].fill(record)
        column = self._column(record, name)
        if column is None and is_needed:
            raise BadSampleError(self._lacks(record))
        return "" if column is None else text(record[column], column)

    def _hidden(self, text: str) -> str:
        """A text without the names that it must not give away."""
        return text if self.hide is None else self.hide.hide(text)

    def _stance(self, record: Record, place: str, name: str) -> str:
        if name in self.values:
            return self.values[name]
        column = self._column(record, name)
        label = None if column is None else cell(record, column)
        if is_missing(label):
            return ""
        try:
            return self.labels(label, place)
        except ValueError as error:
            raise MisfitError(str(error)) from error

    def _asked(self, record: Record) -> tuple[str, ...]:
        if "asked" in self.values:
            return (self.values["asked"],)
        column = self._column(record, "asked")
        value = None if column is None else cell(record, column)
        return () if is_missing(value) or column is None else tuple(texts(value, column))

    def _check(self, place: str, record: Record) -> None:
        """Refuse a table without a column of articles at its first row."""
        if TEXT not in self.values and self._column(record, TEXT) is None:
            raise MisfitError(f"{place}: {self._lacks(record)}; `columns` names another one.")

    def _lacks(self, record: Record) -> str:
        known = ", ".join(KNOWN[TEXT])
        return f"no article in a column {known}; it has {', '.join(record)}"


def one_line(summary: str) -> str:
    """A summary on one line; the highlights of CNN/DailyMail are several."""
    return " ".join(line.strip() for line in summary.splitlines() if line.strip())


def _spellings(value: Condition) -> set[str]:
    """A value, or several, as tables spell them: a boolean is `true` in the texts of CSV."""
    values = value if isinstance(value, list) else [value]
    more = {str(one).lower() for one in values if isinstance(one, bool)}
    return {str(one) for one in values} | more
