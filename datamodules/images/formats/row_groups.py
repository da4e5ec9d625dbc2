"""Rows of remote Parquet files by index, read a row group at a time.

Which rows there are is indexed once. A row group is converted when one of its rows is first read,
and kept in the folder of copies as an Arrow file, which is memory-mapped.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray

from datamodules.images.formats.image_rows import ImageRows, schema
from datamodules.records.faults import reason
from datamodules.records.remote.copies import opened_copy
from datamodules.records.remote.file import RemoteFile
from engine.disk.whole import whole

if TYPE_CHECKING:  # the import takes long
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT = 1
"""Version of the copies."""
NUM_THREADS = 8
"""Files that are indexed at the same time."""
NUM_OPEN = 8
"""Row groups that a process keeps open."""
GROUP = ("shard", "within", "start")
"""What is known of a row group: its file, its number there, and the number of its first row."""
Group = tuple[int, NDArray[np.int64]]
"""Number of the first row of a row group, and the numbers of its selected rows, from 1."""


class RowGroups:
    """The selected rows of remote files.

    Args:
        files: The files.
        rows: What is read of them.
        index: Where the index is kept; another path where files or selection are others.
    """

    def __init__(self, files: Sequence[RemoteFile], rows: ImageRows, index: Path):
        self.files = list(files)
        self.rows = rows
        self.path = index
        self._open: dict[int, pa.Table] = {}

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self._index["row"])

    @property
    def files_of_rows(self) -> NDArray[np.int64]:
        """Number of the file of each row."""
        return self._index["shard"][self._index["group"]]

    def cell(self, column: str, index: int) -> object:
        """What a row holds in a column; its file and number are known without reading a group."""
        groups = self._index["group"]
        group = int(groups[index])
        if column == "row":
            return int(self._index["row"][index])
        if column == "file":
            return int(self._index["shard"][group])
        at = index - int(np.searchsorted(groups, group))
        return self._table(group).column(column)[at].as_py()

    def _table(self, group: int) -> "pa.Table":
        """The selected rows of a row group."""
        if group not in self._open:
            for oldest in [*self._open][: max(0, len(self._open) + 1 - NUM_OPEN)]:
                del self._open[oldest]
            self._open[group] = self._copied(group)
        return self._open[group]

    def _copied(self, group: int) -> "pa.Table":
        import pyarrow as pa

        number, within, start = (int(self._index[name][group]) for name in GROUP)
        file = self.files[number]
        selection = [self.rows.image, self.rows.caption, sorted(self.rows.where.items())]
        key = json.dumps([FORMAT, file.url, file.identity, selection, number, within])

        def make(draft: Path) -> None:
            with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, schema()) as writer:
                for batch in self.rows.batches(number, file, within, start):
                    writer.write_batch(batch)

        def use(path: Path) -> "pa.Table":
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()

        return opened_copy(key, make, use)

    @cached_property
    def _index(self) -> dict[str, NDArray[np.int64]]:
        """Of each row its number in the file and its row group; of each group what `GROUP` says."""
        if self.path.is_file():
            try:
                return _load(self.path)
            except Exception as error:  # broken zip archives and arrays raise many types
                rank_zero_warn(f"{self.path} is broken ({reason(error)}) and is rebuilt.")
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            found = list(threads.map(partial(_groups, self.rows), self.files))
        groups = [(n, g, *each) for n, file in enumerate(found) for g, each in enumerate(file)]
        sizes = [len(rows) for *_, rows in groups]
        with whole(self.path) as draft, draft.open("wb") as sink:
            np.savez(
                sink,
                row=np.concatenate([np.zeros(0, np.int64), *(rows for *_, rows in groups)]),
                group=np.repeat(np.arange(len(groups)), sizes),
                shard=np.array([shard for shard, *_ in groups], np.int64),
                within=np.array([within for _, within, *_ in groups], np.int64),
                start=np.array([start for *_, start, _ in groups], np.int64),
            )
        return _load(self.path)

    def __getstate__(self) -> dict[str, object]:
        """All but what is mapped into memory, which every process opens itself."""
        return vars(self) | {"_open": {}}


def _load(path: Path) -> dict[str, NDArray[np.int64]]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in ("row", "group", *GROUP)}


def _groups(rows: ImageRows, file: RemoteFile) -> list[Group]:
    """The row groups of a file; only columns with conditions are read."""
    table = rows.opened(file)
    rows.refuse_others(table, file)
    found, start = [], 1
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).num_rows
        kept = _kept(rows, table, group, size)
        found.append((start, start + np.flatnonzero(kept)))
        start += size
    return found


def _kept(rows: ImageRows, table: "pq.ParquetFile", group: int, size: int) -> NDArray[np.bool_]:
    """Which rows of a row group fulfil the conditions."""
    if not rows.where:
        return np.ones(size, bool)
    read = table.read_row_group(group, columns=[*rows.where], use_threads=False)
    kept = [rows.kept(batch).to_numpy(zero_copy_only=False) for batch in read.to_batches()]
    return np.concatenate([np.zeros(0, bool), *kept])
