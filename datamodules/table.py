"""Rows of Parquet, CSV and JSON-lines files as dictionaries."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.documents import Reject, parse

if TYPE_CHECKING:  # the import takes long
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".csv", ".jsonl")
"""Kinds of files that are read."""
LARGEST_CELL = 2**24
"""Characters of a cell of CSV, at most."""

Row = tuple[dict[str, object] | Reject, str]
"""Cells by column, or why there are none; and file and row, counted from 1."""


def read_table(file: Path, needed: Sequence[str], delimiter: str = ",") -> Iterator[Row]:
    """The rows of a file.

    Args:
        file: Ends in one of `SUFFIXES`.
        needed: Columns that must be there.
        delimiter: What stands between two cells of CSV.

    Yields:
        A row each; cells of CSV are texts, and a broken row is a `Reject`.

    Raises:
        ValueError: The file cannot be read, or lacks a column; names both.
    """
    readers = {".parquet": parquet_rows, ".csv": csv_rows, ".jsonl": jsonl_rows}
    options = {"delimiter": delimiter} if file.suffix == ".csv" else {}
    return readers[file.suffix](file, needed, **options)


def parquet_rows(file: Path, needed: Sequence[str]) -> Iterator[Row]:
    """Rows of Parquet; texts come as bytes where they are no UTF-8."""
    table = open_parquet(file)
    require(needed, table.schema_arrow.names, file)
    number = 0
    for batch in table.iter_batches(batch_size=1000):
        columns = {name: cells(batch.column(name)) for name in batch.schema.names}
        for at in range(len(batch)):
            number += 1
            yield {name: column[at] for name, column in columns.items()}, f"{file.name}:{number}"


def cells(column: object) -> list[object]:
    """Values of a column of Arrow; of a text that is broken, its bytes."""
    import pyarrow as pa

    assert isinstance(column, pa.Array)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def decoded(value: bytes | None) -> str | bytes | None:
    """A text, or bytes that are none."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def csv_rows(file: Path, needed: Sequence[str], delimiter: str = ",") -> Iterator[Row]:
    """Rows of CSV whose first line names the columns."""
    csv.field_size_limit(LARGEST_CELL)
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        names = next(reader, [])
        require(needed, names, file)
        number = 0
        for number, row in enumerate(sound(reader, file), start=1):
            place = f"{file.name}:{number}"
            yield csv_row(names, row, place), place


def sound(reader: Iterable[list[str]], file: Path) -> Iterator[list[str]]:
    """The rows of a reader; what it cannot read is told with the name of the file."""
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(f"{file} cannot be read as CSV: {error}") from error


def csv_row(names: list[str], row: list[str], place: str) -> dict[str, object] | Reject:
    """Cells by column."""
    if len(row) != len(names):
        return Reject(place, f"{len(row)} cells, but {len(names)} columns")
    if any("\udc80" <= c <= "\udcff" for cell in row for c in cell):
        return Reject(place, "not UTF-8")
    return dict(zip(names, row, strict=True))


def open_parquet(file: Path) -> "pq.ParquetFile":
    """A Parquet file.

    Raises:
        ValueError: It cannot be read as such; names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} cannot be read as Parquet: {error}") from error


def jsonl_rows(file: Path, needed: Sequence[str]) -> Iterator[Row]:
    """Objects, one a line, the first of which has what is needed."""
    known = False
    for record, place in json_objects(file):
        if isinstance(record, dict) and not known:
            require(needed, list(record), file)
            known = True
        yield record, place


def json_objects(file: Path) -> Iterator[Row]:
    """Objects, one a line; blank lines do not count."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{file.name}:{number}"
            record = parse(line, place)
            if not isinstance(record, dict | Reject):
                record = Reject(place, "not a JSON object")
            yield record, place


def require(needed: Sequence[str], names: Sequence[str], file: Path) -> None:
    """Raise a ValueError unless all columns are there."""
    absent = [name for name in needed if name not in names]
    if absent:
        raise ValueError(f"{file} has no column {', '.join(absent)}; it has {', '.join(names)}.")


def require_column(column: str, names: Sequence[str], place: str) -> None:
    """Raise a ValueError unless the column is there."""
    if column not in names:
        raise ValueError(f"{place} has no column {column!r}; it has {', '.join(names)}.")
