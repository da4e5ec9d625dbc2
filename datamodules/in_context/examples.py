"""Labelled rows of a table as examples of a classification task."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError, MisfitError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.labels import Labels, is_missing, spelt
from datamodules.records.row_tally import RowTally
from datamodules.records.table import rows, short, text
from datamodules.records.template import Template


@dataclass(frozen=True)
class Example:
    """A row of a task.

    Attributes:
        place: File and row, counted from 1.
        text: The filled template, which a label word follows.
        label: The class of the row, as the verbalisers name it.
        fields: Texts of the columns that the template uses.
    """

    place: str
    text: str
    label: str
    fields: dict[str, str]


class ExampleReader:
    """Reads examples of files of any supported format.

    Args:
        template: Text with columns in braces; it ends without a blank, since each label word brings
            its own.
        label: The column of the class.
        labels: Names of the classes.
        max_bad_rate: Share of unusable rows above which reading stops.

    Raises:
        ValueError: The template is invalid, names no column or ends in a blank.
    """

    def __init__(self, template: str, label: str, labels: list[str], max_bad_rate: float):
        self.template = Template("template", template)
        if not self.template.columns or template != template.rstrip():
            raise ValueError(
                f"template {template!r} must name a column in braces and end without a blank: "
                "label words bring their own."
            )
        self.label = label
        self.labels = labels
        self.max_bad_rate = max_bad_rate
        self._label_of = Labels({name: name for name in labels})

    def read(self, path: str, where: Mapping[str, str]) -> list[Example]:
        """The examples of a file, a folder or a glob, in order.

        Args:
            path: The files.
            where: Required value by column.

        Raises:
            ValueError: A column is missing, a label is no class, too many rows are bad, or none
                fulfils the conditions.
        """
        name = called(path, where)
        return list(RowTally().sift(self._examples(path, where), self.max_bad_rate, name))

    def about(self, content: str) -> str:
        """The template with the same text in place of every column."""
        pieces = self.template.pieces
        return "".join(before + ("" if column is None else content) for before, column in pieces)

    def _examples(self, path: str, where: Mapping[str, str]) -> Iterator[Example | BadSample]:
        for place, record in rows(path, [*self.template.columns, self.label, *where]):
            if isinstance(record, BadSample):
                yield record
                continue
            found = attempt(place, self._example, place, record, where)
            if found is not None:
                yield found

    def _example(self, place: str, record: Record, where: Mapping[str, str]) -> Example | None:
        """The example of a row, None if the row does not fulfil the conditions.

        Raises:
            BadSampleError: A column is missing or holds no text, or there is no text or label.
            MisfitError: The label is none of the classes.
        """
        if not all(str(cell(record, column)) == value for column, value in where.items()):
            return None
        filled = self.template.fill(record)
        label = cell(record, self.label)
        if not filled or is_missing(label):
            raise BadSampleError(f"nothing in {self.label if filled else self.template.pattern}")
        fields = {column: text(cell(record, column), column) for column in self.template.columns}
        return Example(place, filled, self._known(label, place), fields)

    def _known(self, label: object, place: str) -> str:
        try:
            return self._label_of(label, place)
        except ValueError as error:
            known = ", ".join(map(spelt, self.labels))
            raise MisfitError(
                f"{place}: the label {label!r} has no verbaliser; there are those of {known}."
            ) from error


def called(path: str, where: Mapping[str, str]) -> str:
    """A short name of the rows of a file that fulfil conditions."""
    return ":".join([short(path), *(f"{column}={value}" for column, value in where.items())])
