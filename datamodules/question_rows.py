"""Rows of JSON lines and Parquet files, and what the cells of a row hold.

A column may be a path into what a cell holds: `answers.text` is the entry `text` of the object
under `answers`, `choices.0` the first entry of a list.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.documents import Reject
from datamodules.lines import Lines
from datamodules.quarantine import UnusableError
from datamodules.sources import JsonlText, ParquetText
from datamodules.table import open_parquet, require_column

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa

ROWS = 256
"""Rows of Parquet that are converted together."""
Record = dict[str, Any]
Row = tuple[str, Record | Reject]
"""Where a row stands, such as `trivia/test.jsonl:17`, and its cells by column."""


def jsonl_rows(path: str) -> Iterator[Row]:
    """The objects of JSON lines; blank lines do not count.

    Args:
        path: A file, a folder of `.jsonl` files or a glob.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: A file is empty.
    """
    lines = Lines(JsonlText(path).files())
    for index in range(len(lines)):
        file, _, number = lines.place(index).rpartition(":")
        place = f"{short(file)}:{number}"
        try:
            yield place, lines.record(index)
        except UnusableError as error:
            yield place, Reject(place, str(error))


def parquet_rows(
    path: str, columns: Iterable[str] | None = None, optional: Iterable[str] = ()
) -> Iterator[Row]:
    """The rows of Parquet files.

    Args:
        path: A file, a folder of `.parquet` files or a glob.
        columns: What is read; all where None.
        optional: What is read as well where it is there.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: A file cannot be read as Parquet, or lacks a column.
    """
    for file in ParquetText(path).files():
        for number, record in enumerate(_records(file, columns, optional), start=1):
            place = f"{short(file)}:{number}"
            yield place, Reject(place, record) if isinstance(record, str) else record


def short(file: str | Path) -> str:
    """The last two parts of a path."""
    return "/".join(Path(file).parts[-2:])


def cell(record: Record, column: str) -> object:
    """What stands in a column.

    Raises:
        UnusableError: There is no such column; names those that there are.
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
            raise UnusableError(f"no {column!r} among {', '.join(record)}")
    return value


def text(value: object, column: str) -> str:
    """The text that a cell holds: a number as it is written, "" for null and for blanks.

    Raises:
        UnusableError: It holds something else.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableError(f"{column!r} holds no text but {type(value).__name__}")
    return str(value) if str(value).strip() else ""


def texts(value: object, column: str) -> list[str]:
    """The texts that a cell holds: one, or a list of them.

    Raises:
        UnusableError: There is none, one is empty, or it holds something else.
    """
    found = [text(one, column) for one in (value if isinstance(value, list) else [value])]
    if not found or not all(found):
        raise UnusableError(f"{column!r} is empty" if len(found) < 2 else f"{column!r} has a gap")
    return found


def _records(
    file: Path, columns: Iterable[str] | None, optional: Iterable[str]
) -> Iterator[Record | str]:
    """The rows of a Parquet file; in place of one that is not UTF-8, what is wrong with it."""
    table = open_parquet(file)
    names = table.schema_arrow.names
    wanted = names if columns is None else [c if c in names else c.split(".")[0] for c in columns]
    for column in wanted:
        require_column(column, names, str(file))
    wanted = [*wanted, *(column for column in optional if column in names)]
    for batch in table.iter_batches(columns=list(dict.fromkeys(wanted)), batch_size=ROWS):
        for index in range(len(batch)):
            yield _record(batch.slice(index, 1))


def _record(row: "pa.RecordBatch") -> Record | str:
    try:
        [record] = row.to_pylist()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    found: Record = record
    return found
