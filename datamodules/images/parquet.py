"""Pairs of images and captions from Parquet."""

import hashlib
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.images.formats.image_rows import ImageRows, schema
from datamodules.images.formats.row_groups import RowGroups
from datamodules.images.source import Pair, ShardedSource, image_bytes, texts
from datamodules.records.document import printable
from datamodules.records.remote.address import shown
from datamodules.records.remote.file import File, RemoteFile
from engine.disk.whole import whole

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa


class ImageTextParquet(ShardedSource):
    """One pair a row of Parquet files; an image is bytes, a path, or a struct of both.

    Parquet has no random access: images and captions are copied once into an Arrow file, which is
    memory-mapped. Of remote files, row groups are copied when they are read, and kept for a while.

    Args:
        path: A file, a folder of `.parquet` files or a glob; or a URL.
        image: The column of the images; a path is relative to the folder of its file.
        caption: The column of the captions, texts or lists of texts; None where there are none.
        where: Columns and the value each must have, such as `split: train`.
        num: Number of these rows that are read, the first ones; None reads all.
        skip: Number of them that are skipped first: `num: 50000` and `skip: 50000` are disjoint.
        cache: Folder of the Arrow files, and of the indices of remote ones.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
        window: Files whose documents are mixed at a time, in training; None mixes all, which reads
            a whole row group of a remote file for almost each document.
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
        window: int | None = None,
    ):
        super().__init__(path, window, weight)
        if num is not None and num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        if skip < 0:
            raise ValueError(f"skip must be at least 0, got {skip}.")
        self.num = num
        self.skip = skip
        self.rows = ImageRows(image, caption, where or {})
        self.cache = cache

    @override
    def options(self) -> list[object]:
        return [self.rows.image, self.rows.caption, sorted(self.rows.where.items())]

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
            raise ValueError(f"{shown(self.path)} has {known} such rows, but skip is {self.skip}.")
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
        return Pair(image, texts(self._cell("caption", index)) if self.rows.caption else [""])

    @property
    @override
    def shards(self) -> NDArray[np.integer]:
        rows = self._rows
        files = (
            rows.files_of_rows if isinstance(rows, RowGroups) else rows.column("file").to_numpy()
        )
        return files[self.skip : self.skip + len(self)]

    def _file(self, index: int) -> File:
        return self._found[int(str(self._cell("file", index)))]

    def _cell(self, column: str, index: int) -> object:
        rows = self._rows
        if isinstance(rows, RowGroups):
            return rows.cell(column, index)
        return rows.column(column)[index].as_py()

    @cached_property
    def _rows(self) -> "pa.Table | RowGroups":
        """All rows by index.

        Raises:
            ValueError: There is none, or a file cannot be read.
        """
        digest = hashlib.sha256(super().fingerprint().encode()).hexdigest()[:24]
        remote = [file for file in self._found if isinstance(file, RemoteFile)]
        found: pa.Table | RowGroups
        if remote:
            found = RowGroups(remote, self.rows, Path(self.cache) / f"{digest}.groups.npz")
        else:
            found = self._mapped(Path(self.cache) / f"{digest}.arrow")
        if not found.num_rows:
            wanted = ", ".join(f"{column}={value}" for column, value in self.rows.where.items())
            raise ValueError(f"{shown(self.path)} has no row{' with ' + wanted if wanted else ''}.")
        return found

    def _mapped(self, path: Path) -> "pa.Table":
        """The memory-mapped rows; the Arrow file is written first if it is missing."""
        import pyarrow as pa

        if not path.is_file():
            self._write(path)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            rank_zero_warn(f"{path} is broken ({error}) and is rebuilt.")
            self._write(path)
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return table

    def _write(self, path: Path) -> None:
        """Write the Arrow file, all or nothing."""
        import pyarrow as pa

        with (
            whole(path) as draft,
            pa.OSFile(str(draft), "wb") as sink,
            pa.ipc.new_file(sink, schema()) as writer,
        ):
            for file_index, file in enumerate(self._found):
                for batch in self.rows.batches(file_index, file):
                    writer.write_batch(batch)

    def __getstate__(self) -> dict[str, object]:
        """All but the memory mapping, which every process opens itself."""
        return {name: value for name, value in vars(self).items() if name != "_rows"}
