"""Templates whose fields are columns: `Article: {article}`."""

from string import Formatter

from datamodules.records.formats.columns import Record, cell
from datamodules.records.table import text


class Template:
    """A text with column names in braces; literal braces are doubled.

    If all its columns are empty, the result is empty: an article that is
    missing leaves no "Article: ".

    Args:
        name: Name of the template, for messages.
        pattern: The text.

    Raises:
        ValueError: A brace is not closed, or a field is anything but a column name.
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
        self.pattern = pattern
        self.pieces = [(before, column) for before, column, _, _ in pieces]

    @property
    def columns(self) -> list[str]:
        """The columns that it uses."""
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
