"""Rows of CSV and TSV files, whose first line names the columns."""

import csv
import io
from collections.abc import Iterator

from datamodules.records.document import BadSample
from datamodules.records.formats.columns import Record, Wanted, require
from datamodules.records.formats.files import bare, opened, refuse_encodings
from datamodules.records.remote.file import File

LARGEST_CELL = 2**31 - 1
"""Maximum number of characters in a cell."""


def csv_rows(file: File, wanted: Wanted) -> Iterator[tuple[int, Record | BadSample]]:
    """Rows with their numbers from 1, all cells as text; empty lines are not counted."""
    csv.field_size_limit(LARGEST_CELL)
    delimiter = wanted.delimiter or ("\t" if bare(file).endswith(".tsv") else ",")
    with opened(file) as source:
        refuse_encodings(source.peek(4))  # type: ignore[attr-defined]
        lines = io.TextIOWrapper(source, "utf-8-sig", "surrogateescape", newline="")
        reader = csv.reader(lines, delimiter=delimiter)
        names = next(reader, [])
        require([*(wanted.columns or []), *wanted.needed], names, file)
        number = 0
        while (row := _next(reader)) is not None:
            if row:
                number += 1
                yield number, row if isinstance(row, BadSample) else _record(names, row)


def _next(reader: Iterator[list[str]]) -> list[str] | BadSample | None:
    """The next row, or a `BadSample`; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return BadSample("", f"no row of CSV: {error}")


def _record(names: list[str], row: list[str]) -> Record | BadSample:
    """Cells by column."""
    if len(row) != len(names):
        return BadSample("", f"{len(row)} cells, but {len(names)} columns")
    if any("\udc80" <= c <= "\udcff" for value in row for c in value):
        return BadSample("", "not UTF-8")
    return dict(zip(names, row, strict=True))
