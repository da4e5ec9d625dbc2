"""Rows of Parquet and Arrow files; dictionary-encoded and view strings become plain text."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, Wanted
from datamodules.records.formats.files import COMPRESSIONS, opened
from datamodules.records.remote.file import File

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa

NUM_ROWS = 1000
"""Rows that are converted together."""
MAGIC = b"ARROW1"
"""Magic bytes of an Arrow file; the streams that `datasets` writes have none."""


def parquet_rows(file: File, wanted: Wanted) -> Iterator[tuple[int, Record | BadSample]]:
    """Rows of a Parquet file with their numbers from 1; undecodable rows come as a `BadSample`."""
    import pyarrow.parquet as pq

    with _searchable(file) as source:
        table = pq.ParquetFile(source)
        chosen = wanted.chosen(table.schema_arrow.names, file)
        yield from _numbered(table.iter_batches(columns=chosen, batch_size=NUM_ROWS))


def arrow_rows(file: File, wanted: Wanted) -> Iterator[tuple[int, Record | BadSample]]:
    """Rows of an Arrow file or stream with their numbers from 1, as in `parquet_rows`."""
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


def _searchable(file: File) -> BinaryIO:
    """A seekable file; a compressed one is decompressed into memory."""
    if file.suffix.lower() not in COMPRESSIONS:
        return opened(file)
    with opened(file) as source:
        return io.BytesIO(source.read())


def _numbered(batches: "Iterator[pa.RecordBatch]") -> Iterator[tuple[int, Record | BadSample]]:
    number = 0
    for batch in batches:
        for record in records(batch):
            number += 1
            yield number, record


def records(batch: "pa.RecordBatch") -> Iterator[Record | BadSample]:
    """The rows of a batch; undecodable ones come as a `BadSample`.

    Raises:
        Exception: The whole batch is damaged.
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
    """The rows of a batch, validated first: a damaged file may hold invalid memory offsets.

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
