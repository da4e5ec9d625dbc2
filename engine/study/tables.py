"""Tables of studies: lined up for a terminal, and as CSV."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from engine.disk.whole import whole

Row = Mapping[str, Any]
"""Values by column."""


def lined_up(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    """The lines of a table, numbers to the right; a value that a row lacks is left out."""
    cells = [[shown(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [all(is_number(row.get(column)) for row in rows) for column in columns]
    for line in [list(columns), *cells]:
        parts = zip(line, widths, numeric, strict=True)
        yield "  ".join(t.rjust(w) if right else t.ljust(w) for t, w, right in parts).rstrip()


def is_number(value: Any) -> bool:
    """Whether a value is a number, or none is there."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def shown(value: Any) -> str:
    """A value as in a table: numbers to four digits, nothing where there is none."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of all rows, in the order of their first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Write rows as CSV, all or nothing; values are whole."""
    text = StringIO()
    named = list(columns or columns_of(rows))
    writer = csv.DictWriter(text, named, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole(path) as draft:
        draft.write_text(text.getvalue())
