"""Sources of documents: files of rows, plain text files, or a dataset of the hub."""

import json
import mmap
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from datamodules.records.document import BadSample, Document, printable, to_document
from datamodules.records.faults import attempt, reason
from datamodules.records.formats.columns import Record, Wanted, cell
from datamodules.records.formats.files import COMPRESSIONS, FORMATS, opened, refuse_encodings, shown
from datamodules.records.formats.hub import hub_name, hub_records, hub_rows
from datamodules.records.formats.open import Row, bad_file, read_rows
from datamodules.records.remote.file import File, RemoteFile, num_bytes
from datamodules.text.source import FileText, TextSource
from engine.disk.digest import contents

Bytes = bytes | mmap.mmap
"""Contents of a file."""


class TextFiles(FileText):
    """One document per row of files: Parquet, Arrow, CSV, TSV, JSON lines or arrays of JSON.

    The extension of a file gives its format and compression (.gz, .zst, .bz2, .xz).
    Folders that `datasets` wrote by `save_to_disk` are read too; of several splits, name one.

    Args:
        path: A file, a folder (every such file below it) or a glob.
        column: The column that holds the text; may be a path, such as `data.text`.
        split_column: A column that says which part of the data a row belongs to.
        split: The part to read; needs `split_column`. A number is written as in `"1"`.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: Only one of `split_column` and `split` is given.
    """

    endings = tuple(FORMATS)
    otherwise: ClassVar[str] = ""
    """Format of a file whose extension names none."""

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

    @override
    def options(self) -> list[object]:
        return [self.column, self.split_column, self.split]

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        """The text of every row of the split.

        Raises:
            ValueError: A file lacks a column, or no row is of the split.
        """
        columns = [self.column] + ([self.split_column] if self.split_column else [])
        splits = Counter[str]()
        for origin, record in read_rows(self.files(), Wanted(columns, columns), self.otherwise):
            part = attempt(origin, self._split, record)
            if isinstance(part, str):
                splits[part] += 1
            if isinstance(record, BadSample):
                yield record
            elif isinstance(part, BadSample):
                yield part
            elif part == self.split:
                yield document(record, self.column, origin)
        if self.split is not None and splits and not splits[self.split]:
            there = ", ".join(f"{part} ({count:,})" for part, count in splits.most_common(20))
            raise ValueError(
                printable(f"{self.name}: no row has {self.split_column} {self.split}; of {there}.")
            )

    def _split(self, record: Record | BadSample) -> str | None:
        """The part of a row, as it is written in configs."""
        if self.split_column is None or isinstance(record, BadSample):
            return None
        return written(cell(record, self.split_column))


class ParquetText(TextFiles):
    """As `TextFiles`; of a folder only Parquet files, and an unknown extension is read as Parquet.

    Args:
        path: A file, a folder (every `.parquet` file below it) or a glob.
        column: The column that holds the text; may be a path, such as `data.text`.
        split_column: A column that says which part of the data a row belongs to.
        split: The part to read; needs `split_column`.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    endings = (".parquet", ".pq")
    otherwise = "Parquet"


class JsonlText(TextFiles):
    """As `TextFiles`; of a folder only JSON files, and an unknown extension is read as JSON lines.

    Args:
        path: A file, a folder (every `.jsonl`, `.ndjson` and `.json` file below it) or a glob.
        column: The key that holds the text; may be a path, such as `data.text`.
        split_column: A key that says which part of the data a line belongs to.
        split: The part to read; needs `split_column`.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    endings = (".jsonl", ".ndjson", ".json")
    otherwise = "JSON"


@contextmanager
def mapped(file: File) -> Iterator[Bytes]:
    """Contents of a file, memory-mapped; of a compressed or remote one, held in memory."""
    with opened(file) as source:
        if isinstance(file, RemoteFile) or file.suffix.lower() in COMPRESSIONS:
            yield source.read()
        else:
            with mmap.mmap(source.fileno(), 0, prot=mmap.PROT_READ) as data:
                yield data


def document(record: Record, column: str, origin: str) -> Document | BadSample:
    """The text of a row, or a bad sample."""
    value = attempt(origin, cell, record, column)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        reason = "not a text but a list of objects; datamodules.instructions.datamodule reads chats"
        return BadSample(origin, reason)
    return value if isinstance(value, BadSample) else to_document(value, origin)


def written(value: object) -> str:
    """A value of a table as a config writes it; integers have no fraction."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class PlainText(FileText):
    """Plain text files, whole or split at a separator; compressed ones are decompressed in memory.

    Args:
        path: A file, a folder of `.txt` files or a glob.
        separator: What separates two documents, such as a blank line; None makes a file one
            document. A line end in it also matches a Windows line end.
        span: The part of every file to read, as two fractions of its bytes, each moved on to the
            next start of a line; (0, 0.9) and (0.9, 1) share nothing and leave nothing out.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `span` is not a part of [0, 1], or the separator is empty.
    """

    endings = (".txt", ".text")

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

    @override
    def options(self) -> list[object]:
        return [self.separator, *self.span]

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        """The pieces between separators; blank ones are not counted."""
        files = self.files()
        for file in files:
            if num_bytes(file) == 0:
                yield bad_file(file, shown(file), "is empty", len(files), is_empty=True)
                continue
            try:
                for line, piece in self._pieces(file):
                    if piece.strip():
                        yield to_document(piece, f"{shown(file)}:{line}")
            except Exception as error:
                said = f"cannot be read: {reason(error)}"
                yield bad_file(file, shown(file), said, len(files))

    def _pieces(self, file: File) -> Iterator[tuple[int, bytes]]:
        """First line number and bytes of every piece."""
        with mapped(file) as data:
            refuse_encodings(data[:4])
            start, end = (_line_start(data, fraction) for fraction in self.span)
            line = 1 + data[:start].count(b"\n")
            while start < end:
                piece, after = self._next(data, start, end)
                yield line, piece
                line += data[start:after].count(b"\n")
                start = after

    def _next(self, data: Bytes, start: int, end: int) -> tuple[bytes, int]:
        """The piece at `start` and the start of the next one."""
        if self.separator is None:
            return data[start:end], end
        mark = re.escape(self.separator.encode()).replace(b"\\\n", b"\r?\n")
        found = re.compile(mark).search(data, start, end)
        return (data[start : found.start()], found.end()) if found else (data[start:end], end)


class HubText(TextSource):
    """One document per row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read or wrote by `save_to_disk`.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        column: The column that holds the text; may be a path, such as `data.text`.
        revision: Commit or tag; without it a change on the hub is not noticed once text is cached.
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
        return hub_name(self.dataset, self.config, self.split)

    def fingerprint(self) -> str:
        """All arguments except the weight; for a local copy also the files."""
        files = [file for file in sorted(Path(self.dataset).rglob("*")) if file.is_file()]
        options = [self.name, self.column, self.revision]
        return json.dumps([type(self).__name__, *options, contents(files)])

    def documents(self) -> Iterator[Document | BadSample]:
        """The text of every row.

        Raises:
            FileNotFoundError: The dataset looks like a folder, but is none.
            ValueError: The dataset lacks the column.
        """
        for origin, record in self.rows([self.column]):
            yield record if isinstance(record, BadSample) else document(record, self.column, origin)

    def rows(self, columns: list[str]) -> Iterator[Row]:
        """Some columns of every row with its origin."""
        rows = hub_rows(self.dataset, self.config, self.split, self.revision)
        return hub_records(self.name, rows, columns)


def _line_start(data: Bytes, fraction: float) -> int:
    """The first byte of a line at or after `fraction` of the data."""
    position = round(fraction * len(data))
    if position in (0, len(data)):
        return position
    newline = data.find(b"\n", position - 1)
    return len(data) if newline < 0 else newline + 1
