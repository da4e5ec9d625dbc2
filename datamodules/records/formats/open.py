"""Rows of files of any format that people have: the one place that opens them, by their ending.

`files.FORMATS` says which formats there are, `columns` what a column may be.

Whatever is wrong with one row costs that row; a file that cannot be read, or not to its end,
costs what is left of it. Both come as a `BadSample`, which the census counts and names.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from datamodules.records.document import BadFile, BadSample, printable
from datamodules.records.faults import reason
from datamodules.records.formats.arrow import arrow_rows, parquet_rows
from datamodules.records.formats.columns import ColumnError, Record, Wanted
from datamodules.records.formats.csv import csv_rows
from datamodules.records.formats.files import file_format, shown
from datamodules.records.formats.json import json_rows

Row = tuple[str, Record | BadSample]
"""Where a row stands, such as `train.jsonl:17`, counted from 1; and its cells, or why none."""
Numbered = Iterator[tuple[int, Record | BadSample]]
"""Rows by their number within a file."""
READERS: dict[str, Callable[[Path, Wanted], Numbered]] = {
    "Parquet": parquet_rows,
    "Arrow": arrow_rows,
    "JSON": json_rows,
    "CSV": csv_rows,
}
"""What reads each of `files.FORMATS`."""
EVERYTHING = Wanted()
"""All columns."""


def read_rows(
    files: Sequence[Path],
    wanted: Wanted = EVERYTHING,
    otherwise: str = "",
    named: Callable[[Path], str] = shown,
) -> Iterator[Row]:
    """The rows of files, one file after the other.

    Args:
        files: The files; a bad one of several is told as a `BadFile`.
        wanted: The columns.
        otherwise: Format of a file whose ending tells none; "" refuses such a file.
        named: What a file is called where its rows are named.

    Raises:
        ColumnError: A file lacks a column.
        ValueError: The ending of a file tells no format, or the only file cannot be read.
    """
    for file in files:
        kind = file_format(file) or otherwise
        if not kind:
            raise ValueError(f"{file}: its ending tells no format; docs/data.md has a table.")
        yield from _rows(file, kind, wanted, named(file), len(files))


def _rows(file: Path, kind: str, wanted: Wanted, name: str, num_files: int) -> Iterator[Row]:
    """The rows of a file, and what keeps the rest of it from being read."""
    number = 0
    try:
        if file.stat().st_size == 0:
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
        said = f"cannot be read as {kind}{f' behind row {number}' if number else ''}: "
        yield name, bad_file(file, name, said + reason(error), num_files)


class OnlyFileError(ValueError):
    """There is one file, and it cannot be read."""


def bad_file(file: Path, name: str, said: str, num_files: int, is_empty: bool = False) -> BadFile:
    """What is told of a file that cannot be read.

    Args:
        file: The file.
        name: What it is called where its rows are named.
        said: What is wrong, to follow its name.
        num_files: Files that are read together with it, itself included.
        is_empty: Whether it merely holds nothing.

    Raises:
        OnlyFileError: There is no other file.
    """
    if num_files == 1:
        raise OnlyFileError(printable(f"{file} {said}."))
    return BadFile(name, said, num_files, is_empty)
