"""Texts with gaps that columns fill: `Article: {article}`."""

from string import Formatter

from datamodules.records.formats.columns import Record, cell
from datamodules.records.table import text


class Template:
    """A text with the names of columns in braces; braces of the text itself are doubled.

    A template of columns none of which holds a text gives an empty text: an article that is
    missing leaves no "Article: " behind.

    Args:
        name: What it makes, for messages.
        pattern: The text.

    Raises:
        ValueError: A brace is left open, a gap has no name, or more than a name.
    """

    def __init__(self, name: str, pattern: str):
        try:
            pieces = list(Formatter().parse(pattern))
        except ValueError as error:
            raise ValueError(f"template {name!r}: {error}: {pattern!r}.") from error
        for _, column, form, conversion in pieces:
            if column == "" or form or conversion:
                raise ValueError(
                    f"template {name!r}: a gap is the name of a column in braces, got {pattern!r}."
                )
        self.pieces = [(before, column) for before, column, _, _ in pieces]

    @property
    def columns(self) -> list[str]:
        """The columns that fill it."""
        return [column for _, column in self.pieces if column is not None]

    def fill(self, record: Record) -> str:
        """The text of a row.

        Raises:
            BadSampleError: A column is missing, or holds no text.
        """
        values = {column: text(cell(record, column), column) for column in self.columns}
        if values and not any(values.values()):
            return ""
        return "".join(
            before + ("" if column is None else values[column]) for before, column in self.pieces
        )
