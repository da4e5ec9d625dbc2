"""Rows of tables of questions, and their cells as text."""

from collections.abc import Iterable, Iterator

from datamodules.records.document import unwritable
from datamodules.records.errors import BadSampleError
from datamodules.records.formats.columns import Wanted
from datamodules.records.formats.files import FORMATS, find_files
from datamodules.records.formats.open import Row, read_rows
from datamodules.records.remote.address import short_name
from datamodules.records.remote.file import File


def rows(
    path: str,
    columns: Iterable[str] | None = None,
    optional: Iterable[str] = (),
    endings: Iterable[str] = tuple(FORMATS),
    otherwise: str = "",
) -> Iterator[Row]:
    """The rows of files.

    Args:
        path: A file, a folder (every file below it with one of the endings) or a glob.
        columns: Columns to read; None reads all.
        optional: Columns that are read where they exist.
        endings: Extensions of the files of a folder, compressed or not.
        otherwise: Format of a file whose extension names none.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: The only file cannot be read, or a table lacks a column.
    """
    wanted = Wanted(None if columns is None else list(columns), optional=list(optional))
    return read_rows(find_files(path, tuple(endings)), wanted, otherwise, short)


def short(file: str | File) -> str:
    """The last two parts of a path or URL."""
    return short_name(str(file))


def text(value: object, column: str) -> str:
    """The text of a cell: a number in decimal, "" for null and for blanks.

    Raises:
        BadSampleError: It holds something else.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadSampleError(f"{column!r} holds no text but {type(value).__name__}")
    if reason := unwritable(str(value)):
        raise BadSampleError(f"{column!r}: {reason}")
    return str(value) if str(value).strip() else ""


def texts(value: object, column: str) -> list[str]:
    """The texts of a cell: one, or a list of them.

    Raises:
        BadSampleError: There is none, one is empty, or the cell has another type.
    """
    found = [text(one, column) for one in (value if isinstance(value, list) else [value])]
    if not found or not all(found):
        raise BadSampleError(f"{column!r} is empty" if len(found) < 2 else f"{column!r} has a gap")
    return found
