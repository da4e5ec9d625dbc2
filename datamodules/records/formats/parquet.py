"""Parquet files with random access to rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.records.remote.file import File

if TYPE_CHECKING:  # the import takes long
    import pyarrow.parquet as pq


def open_parquet(file: File) -> "pq.ParquetFile":
    """A Parquet file.

    Raises:
        ValueError: It cannot be read as such; names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if isinstance(file, Path):
            return pq.ParquetFile(file)
        return pq.ParquetFile(file.open("rb"), pre_buffer=True)  # chunks of columns at once
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} cannot be read as Parquet: {error}") from error


def require_column(column: str, names: Sequence[str], place: str) -> None:
    """Raise a ValueError unless the column is there."""
    if column not in names:
        raise ValueError(f"{place} has no column {column!r}; it has {', '.join(names)}.")
