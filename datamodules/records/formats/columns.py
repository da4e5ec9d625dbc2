"""Columns of rows, by name or by path.

A column may be a path into a nested cell: `data.text` is the entry `text` of the object under
`data`, `messages.0` the first entry of a list. A whole name comes before a path.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from datamodules.records.document import printable
from datamodules.records.errors import BadSampleError
from datamodules.records.remote.file import File

Record = dict[str, Any]
"""Cells of a row by column."""


class ColumnError(ValueError):
    """A file lacks a requested column; the message names both and lists the existing columns."""


@dataclass(frozen=True)
class Wanted:
    """Which columns of each row are read.

    Attributes:
        columns: Columns to read; None reads all. A file with a schema must have them.
        needed: Columns that every file must have, JSON included.
        optional: Columns that are read where they exist.
        delimiter: Separator of CSV cells; None follows the file's extension.
    """

    columns: list[str] | None = None
    needed: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)
    delimiter: str | None = None

    def chosen(self, names: list[str], file: File | str) -> list[str]:
        """The columns of a schema to read, each once; for a path its first part.

        Args:
            names: Columns of the file.
            file: The file, for the message.

        Raises:
            ColumnError: One is missing.
        """
        wanted = [*(self.columns or []), *self.needed]
        require(wanted, names, file)
        if self.columns is None:
            return list(dict.fromkeys(names))
        wanted += [column for column in self.optional if column in names]
        return list(dict.fromkeys(c if c in names else c.split(".")[0] for c in wanted))


def cell(record: Record, column: str) -> object:
    """The value in a column.

    Raises:
        BadSampleError: There is no such column; the message lists the existing ones.
    """
    if column in record:
        return record[column]
    value: object = record
    for key in column.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise BadSampleError(f"no {column!r} among {', '.join(record)}")
    return value


def has(record: Record, column: str) -> bool:
    """Whether there is such a column."""
    try:
        cell(record, column)
    except BadSampleError:
        return False
    return True


def require(needed: Iterable[str], names: Iterable[str], file: File | str) -> None:
    """Raise a `ColumnError` unless all columns exist; for a path, its first part."""
    known = list(names)
    for column in needed:
        if column not in known and column.split(".")[0] not in known:
            absent(column, known, file)


def absent(column: str, names: Iterable[str], file: File | str) -> None:
    """Raise a `ColumnError` about a column that does not exist."""
    there = ", ".join(map(str, names))
    raise ColumnError(printable(f"{file} has no column {column!r}; it has {there}."))
