"""Rows of Parquet and Arrow files; text in dictionaries and views is plain text here."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, Wanted
from datamodules.records.formats.files import COMPRESSIONS, opened

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa

NUM_ROWS = 1000
"""Rows that are converted together."""
MAGIC = b"ARROW1"
"""How an Arrow file begins; `datasets` writes streams, which have no such beginning."""


def parquet_rows(file: Path, wanted: Wanted) -> Iterator[tuple[int, Record | BadSample]]:
    """Rows of a Parquet file by number, from 1; in place of one that cannot be decoded, why."""
    import pyarrow.parquet as pq

    with _searchable(file) as source:
        table = pq.ParquetFile(source)
        chosen = wanted.chosen(table.schema_arrow.names, file)
        yield from _numbered(table.iter_batches(columns=chosen, batch_size=NUM_ROWS))


def arrow_rows(file: Path, wanted: Wanted) -> Iterator[tuple[int, Record | BadSample]]:
    """Rows of an Arrow file or stream by number, from 1; as above."""
    import pyarrow as pa

    with _searchable(file) as source:
        is_file = source.read(len(MAGIC)) == MAGIC
        source.seek(0)
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        chosen = wanted.chosen(reader.schema.names, file)
        parts = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        yield from _numbered(
            batch.slice(start, NUM_ROWS).select(chosen)
            for batch in parts
            for start in range(0, len(batch), NUM_ROWS)
        )


def _searchable(file: Path) -> BinaryIO:
    """A file in which one can jump; a compressed one is read whole."""
    if file.suffix.lower() not in COMPRESSIONS:
        return file.open("rb")
    with opened(file) as source:
        return io.BytesIO(source.read())


def _numbered(batches: "Iterator[pa.RecordBatch]") -> Iterator[tuple[int, Record | BadSample]]:
    number = 0
    for batch in batches:
        for record in records(batch):
            number += 1
            yield number, record


def records(batch: "pa.RecordBatch") -> Iterator[Record | BadSample]:
    """The rows of a batch; in place of one that cannot be decoded, why.

    Raises:
        Exception: The batch is damaged as a whole.
    """
    batch.validate()
    whole = attempt("", converted, batch)
    if not isinstance(whole, BadSample):
        yield from whole
        return
    for index in range(len(batch)):
        row = attempt("", converted, batch.slice(index, 1))
        yield row if isinstance(row, BadSample) else row[0]


def converted(batch: "pa.RecordBatch") -> list[Record]:
    """The rows of a batch; a damaged file may point anywhere in memory, so that is checked first.

    Raises:
        Exception: A value cannot be decoded.
    """
    import pyarrow as pa

    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if "UTF8" not in str(error):
                raise
    return batch.to_pylist()
