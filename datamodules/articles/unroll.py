"""Rows whose cells are lists, such as the titles and texts of several articles on one event."""

from collections.abc import Iterable, Iterator, Sequence

from datamodules.records.document import BadSample
from datamodules.records.formats.columns import Record
from datamodules.records.formats.open import Row


def unrolled(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[Row]:
    """One row for each entry of lists; without columns the rows as they are.

    The origin of an entry is that of its row and the entry's number from 1, such as
    `train.parquet:7.2`. Rows whose lists differ in length come as a `BadSample`.

    Args:
        rows: The rows.
        columns: Columns of lists; the others are the same for all entries.
    """
    for origin, record in rows:
        if not columns or isinstance(record, BadSample):
            yield origin, record
        elif reason := not_lists(record, columns):
            yield origin, BadSample(origin, reason)
        else:
            for number in range(len(record[columns[0]])):
                entry = {name: record[name][number] for name in columns}
                yield f"{origin}.{number + 1}", record | entry


def not_lists(record: Record, columns: Sequence[str]) -> str:
    """Why a row cannot be taken apart; empty if it can."""
    for name in columns:
        if not isinstance(record.get(name), list):
            return f"no list in the column {name!r}"
    sizes = {name: len(record[name]) for name in columns}
    if len(set(sizes.values())) > 1:
        return "lists of " + " and ".join(f"{num} {name}" for name, num in sizes.items())
    return ""
