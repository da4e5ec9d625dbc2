"""Pairs of images and captions from Parquet."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from typing_extensions import override

from datamodules.images.source import FileSource, Pair, image_bytes, texts
from datamodules.records.document import printable
from datamodules.records.formats.parquet import open_parquet, require_column
from engine.disk.whole import whole

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 256
"""Rows of Parquet that are converted together."""


class ImageTextParquet(FileSource):
    """One pair a row of Parquet files; an image is bytes, a path, or a struct of both.

    Parquet has no random access: images and captions are copied once into an Arrow file, which is
    memory-mapped.

    Args:
        path: A file, a folder of `.parquet` files or a glob.
        image: The column of the images; a path is relative to the folder of its file.
        caption: The column of the captions, texts or lists of texts; None where there are none.
        where: Columns and the value each must have, such as `split: train`.
        num: Number of these rows that are read, the first ones; None reads all.
        skip: Number of them that are skipped first: `num: 50000` and `skip: 50000` are disjoint.
        cache: Folder of the Arrow files.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    endings = (".parquet", ".pq")

    def __init__(
        self,
        path: str,
        image: str = "image",
        caption: str | None = "caption",
        where: dict[str, str] | None = None,
        num: int | None = None,
        cache: str = ".cache/images",
        weight: float = 1.0,
        skip: int = 0,
    ):
        super().__init__(path, weight)
        if num is not None and num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        if skip < 0:
            raise ValueError(f"skip must be at least 0, got {skip}.")
        self.num = num
        self.skip = skip
        self.image = image
        self.caption = caption
        self.where = where or {}
        self.cache = cache

    @override
    def options(self) -> list[object]:
        return [self.image, self.caption, sorted(self.where.items())]

    @override
    def fingerprint(self) -> str:
        whole = super().fingerprint()
        part = "" if self.num is None else f" {self.num}"
        return f"{whole}{part}{f' behind {self.skip}' if self.skip else ''}"

    @override
    def prepare(self) -> None:
        _ = self._rows

    @override
    def __len__(self) -> int:
        known = int(self._rows.num_rows)
        left = known - self.skip
        if left < 1:
            raise ValueError(f"{self.path} has {known} such rows, but skip is {self.skip}.")
        return left if self.num is None else min(self.num, left)

    @override
    def location(self, index: int) -> str:
        index += self.skip
        return printable(f"{self._file(index)}:{self._cell('row', index)}")

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        index += self.skip
        bytes_and_path = self._cell("bytes", index), self._cell("path", index)
        image = image_bytes(*bytes_and_path, self._file(index).parent)
        return Pair(image, texts(self._cell("caption", index)) if self.caption else [""])

    def _file(self, index: int) -> Path:
        return self._found[int(str(self._cell("file", index)))]

    def _cell(self, column: str, index: int) -> object:
        return self._rows.column(column)[index].as_py()

    @cached_property
    def _found(self) -> list[Path]:
        return self.files()

    @cached_property
    def _rows(self) -> "pa.Table":
        """The memory-mapped rows; the Arrow file is written first if it is missing."""
        import pyarrow as pa

        digest = hashlib.sha256(super().fingerprint().encode()).hexdigest()[:24]
        path = Path(self.cache) / f"{digest}.arrow"
        if not path.is_file():
            self._write(path)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            rank_zero_warn(f"{path} is broken ({error}) and is rebuilt.")
            self._write(path)
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if not table.num_rows:
            wanted = ", ".join(f"{column}={value}" for column, value in self.where.items())
            raise ValueError(f"{self.path} has no row{' with ' + wanted if wanted else ''}.")
        return table

    def _write(self, path: Path) -> None:
        """Write the Arrow file, all or nothing."""
        import pyarrow as pa

        with (
            whole(path) as draft,
            pa.OSFile(str(draft), "wb") as sink,
            pa.ipc.new_file(sink, _schema()) as writer,
        ):
            for file_index, file in enumerate(self._found):
                for batch in self._batches(file_index, file):
                    writer.write_batch(batch)

    def _batches(self, file_index: int, file: Path) -> Iterator["pa.RecordBatch"]:
        """The selected rows of one file."""
        import pyarrow as pa

        table = open_parquet(file)
        columns = [self.image, *([self.caption] if self.caption else []), *self.where]
        for column in columns:
            require_column(column, table.schema_arrow.names, str(file))
        start = 1
        for batch in _read(table, list(dict.fromkeys(columns)), file):
            kept = self._kept(batch)
            rows = pa.array(range(start, start + len(batch)), pa.int64()).filter(kept)
            image = _image(batch.column(self.image), f"{file}: column {self.image!r}")
            caption = self._captions(batch, file)
            files = pa.array([file_index] * len(rows), pa.int32())
            columns_out = [files, rows, *(part.filter(kept) for part in (*image, caption))]
            yield pa.RecordBatch.from_arrays(columns_out, schema=_schema())
            start += len(batch)

    def _captions(self, batch: "pa.RecordBatch", file: Path) -> "pa.Array":
        """A list of texts for each row, empty where there are no captions."""
        import pyarrow as pa

        if self.caption is None:
            return pa.array([[]] * len(batch), _schema().field("caption").type)
        return _captions(batch.column(self.caption), f"{file}: column {self.caption!r}")

    def _kept(self, batch: "pa.RecordBatch") -> "pa.BooleanArray":
        """Which rows fulfil the conditions."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kept = pa.array([True] * len(batch))
        for column, value in self.where.items():
            fits = pc.equal(batch.column(column).cast(pa.string()), value)
            kept = pc.and_(kept, pc.fill_null(fits, False))
        return kept

    def __getstate__(self) -> dict[str, object]:
        """All but the memory mapping, which every process opens itself."""
        return {name: value for name, value in vars(self).items() if name != "_rows"}


def _read(table: "pq.ParquetFile", columns: list[str], file: Path) -> Iterator["pa.RecordBatch"]:
    """The rows of a file in batches.

    Raises:
        ValueError: They cannot be read; names the file and the last row that could be.
    """
    import pyarrow as pa

    count = 0
    try:
        for batch in table.iter_batches(columns=columns, batch_size=ROWS):
            yield batch
            count += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} cannot be read after row {count}: {error}.") from error


def _schema() -> "pa.Schema":
    """Texts are stored as bytes, so that a broken one makes only its own row bad."""
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
    wanted, kind = _schema().field("caption").type, cells.type
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
