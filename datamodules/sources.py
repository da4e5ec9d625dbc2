"""Where documents come from: Parquet, JSON lines, plain text, or a dataset of the hub."""

import json
import mmap
from collections.abc import Iterator
from pathlib import Path

from datamodules.documents import Document, Reject, judge
from datamodules.table import json_objects, open_parquet, require_column
from datamodules.text_source import FileText, TextSource, describe


class ParquetText(FileText):
    """One document a row of Parquet files.

    Args:
        path: A file, a folder of `.parquet` files or a glob.
        column: The column that holds the text.
        split_column: A column that says which part of the data a row belongs to.
        split: The part to read; needs `split_column`.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: Only one of `split_column` and `split` is given.
    """

    suffix = ".parquet"

    def __init__(
        self,
        path: str,
        column: str = "text",
        split_column: str | None = None,
        split: str | None = None,
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        if (split_column is None) != (split is None):
            raise ValueError(f"split_column={split_column} and split={split} go together.")
        self.column = column
        self.split_column = split_column
        self.split = split

    def options(self) -> list[object]:
        """The columns and the split."""
        return [self.column, self.split_column, self.split]

    def documents(self) -> Iterator[Document | Reject]:
        """The text of every row of the split.

        Raises:
            ValueError: A file cannot be read as Parquet, or lacks a column.
        """
        for file in self.files():
            for row, (value, split) in enumerate(self._cells(file), start=1):
                if self.split is None or split == self.split:
                    yield judge(value, f"{file.name}:{row}")

    def _cells(self, file: Path) -> Iterator[tuple[object, object]]:
        """Text (as bytes) and split of every row."""
        import pyarrow as pa

        table = open_parquet(file)
        columns = [self.column] + ([self.split_column] if self.split_column else [])
        for column in columns:
            require_column(column, table.schema_arrow.names, str(file))
        for batch in table.iter_batches(columns=columns, batch_size=1000):
            text = batch.column(self.column)
            if pa.types.is_string(text.type) or pa.types.is_large_string(text.type):
                text = text.cast(pa.large_binary())  # decoded one by one: a cell may be broken
            split = batch.column(columns[-1]) if self.split_column else pa.nulls(len(text))
            yield from zip(text.to_pylist(), split.to_pylist(), strict=True)


class JsonlText(FileText):
    """One document a line of JSON.

    Args:
        path: A file, a folder of `.jsonl` files or a glob.
        column: The key that holds the text.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    suffix = ".jsonl"

    def __init__(self, path: str, column: str = "text", weight: float = 1.0):
        super().__init__(path, weight)
        self.column = column

    def options(self) -> list[object]:
        """The column."""
        return [self.column]

    def documents(self) -> Iterator[Document | Reject]:
        """The text of every line; blank lines do not count.

        Raises:
            ValueError: The first readable line of a file lacks the column.
        """
        for file in self.files():
            known = False
            for record, origin in json_objects(file):
                if isinstance(record, dict) and not known:
                    require_column(self.column, list(record), str(file))
                    known = True
                yield self._document(record, origin)

    def _document(self, record: dict[str, object] | Reject, origin: str) -> Document | Reject:
        if isinstance(record, Reject):
            return record
        if self.column not in record:
            return Reject(origin, f"no {self.column!r}")
        return judge(record[self.column], origin)


class PlainText(FileText):
    """Plain text files, whole or cut at a separator.

    Args:
        path: A file, a folder of `.txt` files or a glob.
        separator: What stands between two documents, such as a blank line; None makes a file one
            document.
        span: The part of every file to read, as two fractions of its bytes, each moved on to the
            next start of a line; (0, 0.9) and (0.9, 1) share nothing and leave nothing out.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `span` is not a part of [0, 1], or the separator is empty.
    """

    suffix = ".txt"

    def __init__(
        self,
        path: str,
        separator: str | None = None,
        span: tuple[float, float] = (0.0, 1.0),
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        if not 0.0 <= span[0] < span[1] <= 1.0:
            raise ValueError(f"span must rise within [0, 1], got {span[0]} and {span[1]}.")
        if separator == "":
            raise ValueError("the separator must not be empty; leave it out for whole files.")
        self.separator = separator
        self.span = (span[0], span[1])

    def options(self) -> list[object]:
        """Separator and span."""
        return [self.separator, *self.span]

    def documents(self) -> Iterator[Document | Reject]:
        """The pieces between separators; blank ones do not count."""
        for file in self.files():
            for line, piece in self._pieces(file):
                if piece.strip():
                    yield judge(piece.removeprefix(b"\xef\xbb\xbf"), f"{file.name}:{line}")

    def _pieces(self, file: Path) -> Iterator[tuple[int, bytes]]:
        """Line number of the start, and bytes, of every piece."""
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ) as data:
            start, end = (_line_start(data, fraction) for fraction in self.span)
            line = 1 + data[:start].count(b"\n")
            while start < end:
                piece, after = self._next(data, start, end)
                yield line, piece
                line += data[start:after].count(b"\n")
                start = after

    def _next(self, data: mmap.mmap, start: int, end: int) -> tuple[bytes, int]:
        """The piece at `start` and where the following one begins."""
        if self.separator is None:
            return data[start:end], end
        mark = self.separator.encode()
        stop = data.find(mark, start, end)
        return (data[start:end], end) if stop < 0 else (data[start:stop], stop + len(mark))


class HubText(TextSource):
    """One document a row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        column: The column that holds the text.
        revision: Commit or tag; without it a change on the hub goes unseen once text is cached.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        split: str = "train",
        column: str = "text",
        revision: str | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        self.dataset = name
        self.config = config
        self.split = split
        self.column = column
        self.revision = revision

    @property
    def name(self) -> str:
        """Name, configuration and split."""
        return ":".join(filter(None, [self.dataset, self.config, self.split]))

    def fingerprint(self) -> str:
        """All arguments but the weight; of a local copy also the files."""
        files = describe(sorted(Path(self.dataset).rglob("*")))
        return json.dumps(["HubText", self.name, self.column, self.revision, files])

    def documents(self) -> Iterator[Document | Reject]:
        """The text of every row.

        Raises:
            ValueError: The dataset lacks the column.
        """
        from datasets import load_dataset

        rows = load_dataset(self.dataset, self.config, split=self.split, revision=self.revision)
        require_column(self.column, rows.column_names, self.name)
        for number, row in enumerate(rows.select_columns([self.column]), start=1):
            yield judge(row[self.column], f"{self.name}:{number}")


def _line_start(data: mmap.mmap, fraction: float) -> int:
    """The first byte of a line at or after `fraction` of the data."""
    position = round(fraction * len(data))
    if position in (0, len(data)):
        return position
    newline = data.find(b"\n", position - 1)
    return len(data) if newline < 0 else newline + 1
