"""Rows of Parquet as images and captions of one schema, whatever the types of their columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datamodules.records.formats.parquet import open_parquet, require_column
from datamodules.records.remote.file import File

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 256
"""Rows of Parquet that are converted together."""


@dataclass(frozen=True)
class ImageRows:
    """Which rows and columns of Parquet files are read.

    Attributes:
        image: The column of the images.
        caption: The column of the captions; None where there are none.
        where: Columns and the value each must have.
    """

    image: str
    caption: str | None
    where: dict[str, str]

    def opened(self, file: File) -> "pq.ParquetFile":
        """A file, opened.

        Raises:
            ValueError: It is no Parquet, or lacks a column.
        """
        table = open_parquet(file)
        for column in self._columns:
            require_column(column, table.schema_arrow.names, str(file))
        return table

    def batches(
        self, number: int, file: File, group: int | None = None, start: int = 1
    ) -> Iterator["pa.RecordBatch"]:
        """The selected rows of one file, of the schema below.

        Args:
            number: Of the file, to be repeated for each row.
            file: The file.
            group: The row group to read; None reads all.
            start: Number of the first row.
        """
        import pyarrow as pa

        table = self.opened(file)
        for batch in _read(table, self._columns, file, group):
            kept = self.kept(batch)
            rows = pa.array(range(start, start + len(batch)), pa.int64()).filter(kept)
            parts = (part.filter(kept) for part in self._converted(batch, file))
            files = pa.array([number] * len(rows), pa.int32())
            yield pa.RecordBatch.from_arrays([files, rows, *parts], schema=schema())
            start += len(batch)

    def refuse_others(self, table: "pq.ParquetFile", file: File) -> None:
        """Raise a ValueError where columns hold neither images nor texts; reads no row."""
        import pyarrow as pa

        empty = table.schema_arrow.empty_table().select(self._columns)
        columns = [column.combine_chunks() for column in empty.columns]
        self._converted(pa.RecordBatch.from_arrays(columns, names=empty.column_names), file)

    def kept(self, batch: "pa.RecordBatch") -> "pa.BooleanArray":
        """Which rows fulfil the conditions."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kept = pa.array([True] * len(batch))
        for column, value in self.where.items():
            fits = pc.equal(batch.column(column).cast(pa.string()), value)
            kept = pc.and_(kept, pc.fill_null(fits, False))
        return kept

    @property
    def _columns(self) -> list[str]:
        columns = [self.image, *([self.caption] if self.caption else []), *self.where]
        return list(dict.fromkeys(columns))

    def _converted(self, batch: "pa.RecordBatch", file: File) -> list["pa.Array"]:
        """Bytes, paths and captions."""
        import pyarrow as pa

        image = _image(batch.column(self.image), f"{file}: column {self.image!r}")
        if self.caption is None:
            empty = pa.array([[]] * len(batch), schema().field("caption").type)
            return [*image, empty]
        caption = batch.column(self.caption)
        return [*image, _captions(caption, f"{file}: column {self.caption!r}")]


def _read(
    table: "pq.ParquetFile", columns: list[str], file: File, group: int | None
) -> Iterator["pa.RecordBatch"]:
    """The rows of a file or of one row group in batches.

    Raises:
        ValueError: They cannot be read; names the file and the last row that could be.
    """
    import pyarrow as pa

    count = 0
    groups = None if group is None else [group]
    try:
        for batch in table.iter_batches(columns=columns, batch_size=ROWS, row_groups=groups):
            yield batch
            count += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} cannot be read after row {count}: {error}.") from error


def schema() -> "pa.Schema":
    """Columns of the rows: texts as bytes, so that a broken one makes only its own row bad."""
    import pyarrow as pa

    return pa.schema(
        [
            ("file", pa.int32()),
            ("row", pa.int64()),
            ("bytes", pa.large_binary()),
            ("path", pa.large_binary()),
            ("caption", pa.list_(pa.large_binary())),
        ]
    )


def _image(cells: "pa.Array", place: str) -> tuple["pa.Array", "pa.Array"]:
    """Bytes and paths of a column of images."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = _plain(cells)
    kind, nulls = cells.type, pa.nulls(len(cells), pa.large_binary())
    if pa.types.is_null(kind):
        return nulls, nulls
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        parts = [
            pc.struct_field(cells, n) if kind.get_field_index(n) >= 0 else nulls
            for n in ("bytes", "path")
        ]
        return parts[0].cast(pa.large_binary()), parts[1].cast(pa.large_binary())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return cells.cast(pa.large_binary()), nulls
    if _is_text(kind):
        return nulls, cells.cast(pa.large_binary())
    raise ValueError(f"{place} holds {kind}, not images (bytes, paths or a struct of both).")


def _captions(cells: "pa.Array", place: str) -> "pa.Array":
    """A list of texts, as bytes, for each cell."""
    import pyarrow as pa

    cells = _plain(cells)
    wanted, kind = schema().field("caption").type, cells.type
    is_list = any(is_kind(kind) for is_kind in _lists())
    inner = kind.value_type if is_list else kind
    if is_list and pa.types.is_dictionary(inner):  # Arrow does not unpack them there
        cells, inner = pa.array(cells.to_pylist(), pa.list_(inner.value_type)), inner.value_type
    if not (_is_text(inner) or pa.types.is_null(inner)):
        raise ValueError(f"{place} holds {kind}, not texts.")
    if is_list:
        return cells.cast(wanted)
    offsets = pa.array(range(len(cells) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, cells.cast(pa.large_binary()))


def _plain(cells: "pa.Array") -> "pa.Array":
    """Cells as plain values: pandas categories, extension types and views are resolved."""
    import pyarrow as pa

    if isinstance(cells, pa.ExtensionArray):
        cells = cells.storage
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    return cells.cast(views[cells.type]) if cells.type in views else cells


def _is_text(kind: "pa.DataType") -> bool:
    """Whether cells of a type are texts."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _lists() -> tuple[Callable[["pa.DataType"], bool], ...]:
    """Predicates of the list types."""
    from pyarrow import types

    return types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view
