"""Rows of files of every supported format, chosen by extension: the only place that opens them.

`files.FORMATS` lists the formats, `columns` explains what a column may be.

An error in one row costs that row; a file that cannot be read, or not completely,
costs the rest of its rows. Both come as a `BadSample`, which `RowTally` counts and lists.
"""

from collections.abc import Callable, Iterator, Sequence

from datamodules.records.document import BadFile, BadSample, printable
from datamodules.records.faults import reason
from datamodules.records.formats.arrow import arrow_rows, parquet_rows
from datamodules.records.formats.columns import ColumnError, Record, Wanted
from datamodules.records.formats.csv import csv_rows
from datamodules.records.formats.files import file_format, shown
from datamodules.records.formats.json import json_rows
from datamodules.records.remote.file import File, num_bytes

Row = tuple[str, Record | BadSample]
"""Origin of a row, such as `train.jsonl:17`, counted from 1; and its cells or a bad sample."""
Numbered = Iterator[tuple[int, Record | BadSample]]
"""Rows with their numbers within a file."""
READERS: dict[str, Callable[[File, Wanted], Numbered]] = {
    "Parquet": parquet_rows,
    "Arrow": arrow_rows,
    "JSON": json_rows,
    "CSV": csv_rows,
}
"""Reader of each of `files.FORMATS`."""
EVERYTHING = Wanted()
"""All columns."""


def read_rows(
    files: Sequence[File],
    wanted: Wanted = EVERYTHING,
    otherwise: str = "",
    named: Callable[[File], str] = shown,
) -> Iterator[Row]:
    """The rows of files, one file after the other.

    Args:
        files: The files; a bad one among several gives a `BadFile`.
        wanted: The columns.
        otherwise: Format of a file whose extension names none; "" refuses such a file.
        named: Name of a file within the origins of its rows.

    Raises:
        ColumnError: A file lacks a column.
        ValueError: The extension of a file names no format, or the only file cannot be read.
    """
    for file in files:
        kind = file_format(file) or otherwise
        if not kind:
            raise ValueError(f"{file}: its ending names no known format; docs/data.md has a table.")
        yield from _rows(file, kind, wanted, named(file), len(files))


def _rows(file: File, kind: str, wanted: Wanted, name: str, num_files: int) -> Iterator[Row]:
    """The rows of a file, then a `BadFile` if the rest cannot be read."""
    number = 0
    try:
        if num_bytes(file) == 0:
            yield name, bad_file(file, name, "is empty", num_files, is_empty=True)
            return
        for number, record in READERS[kind](file, wanted):
            origin = f"{name}:{number}"
            if isinstance(record, BadSample):
                record = BadSample(origin, record.reason)
            yield origin, record
    except ColumnError:
        raise
    except OnlyFileError:
        raise
    except Exception as error:
        said = f"cannot be read as {kind}{f' after row {number}' if number else ''}: "
        yield name, bad_file(file, name, said + reason(error), num_files)


class OnlyFileError(ValueError):
    """The only file cannot be read."""


def bad_file(file: File, name: str, said: str, num_files: int, is_empty: bool = False) -> BadFile:
    """The report of a file that cannot be read.

    Args:
        file: The file.
        name: Its name within the origins of its rows.
        said: The problem, to follow its name.
        num_files: Number of files that are read together, this one included.
        is_empty: Whether the file is empty.

    Raises:
        OnlyFileError: There is no other file.
    """
    if num_files == 1:
        raise OnlyFileError(printable(f"{file} {said}."))
    return BadFile(name, said, num_files, is_empty)
