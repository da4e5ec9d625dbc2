"""Rows of files with random access."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datamodules.records.document import BadSample, parse, printable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record
from datamodules.records.formats.files import COMPRESSIONS, file_format
from datamodules.records.formats.json import NO_OBJECT, is_blank, is_one_a_line
from datamodules.records.formats.open import read_rows
from datamodules.records.remote.file import File, part


class IndexedRows:
    """Rows of one or several files by index; blank lines of JSON are not counted.

    Lines of JSON are read from their file on access; the rows of compressed files
    and of other formats are kept in memory.

    Args:
        files: The files; one whose extension names no format is read as lines of JSON.
    """

    def __init__(self, files: Sequence[File]):
        self.files = list(files)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._index)

    def file(self, index: int) -> File:
        """The file that contains a row."""
        return self.files[self._index[index, 0]]

    def number(self, index: int) -> int:
        """The number of that file, from 0."""
        return int(self._index[index, 0])

    def location(self, index: int) -> str:
        """File and row number, counted from 1; an unreadable file has one row with the number 0."""
        return printable(f"{self.file(index)}:{self._index[index, 1]}")

    def record(self, index: int) -> Record:
        """The object of a row.

        Raises:
            BadSampleError: It is not UTF-8, not JSON or not an object.
        """
        file, _, start, size = self._index[index].tolist()
        value = self._read(file, start, size) if size else self._kept[file][start][1]
        if isinstance(value, BadSample):
            raise BadSampleError(value.reason)
        if not isinstance(value, dict):
            raise BadSampleError(NO_OBJECT)
        return value

    def _read(self, number: int, start: int, size: int) -> object:
        try:
            return parse(part(self.files[number], start, size), "")
        except OSError as error:
            raise BadSampleError(f"cannot be read: {error}") from error

    @cached_property
    def _kept(self) -> dict[int, list[tuple[int, Record | BadSample]]]:
        """Row numbers and contents of each file that is kept in memory."""
        return {
            number: _numbered(file)
            for number, file in enumerate(self.files)
            if not _is_searched(file)
        }

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        """File, row number, and either first byte and size or index in memory and 0; [rows, 4]."""
        rows = []
        for number, path in enumerate(self.files):
            if number in self._kept:
                rows += [(number, line, at, 0) for at, (line, _) in enumerate(self._kept[number])]
                continue
            start = 0
            with path.open("rb") as file:
                for line, text in enumerate(file, start=1):
                    if not is_blank(text):
                        rows.append((number, line, start, len(text)))
                    start += len(text)
        return np.array(rows, np.int64).reshape(-1, 4)


def _numbered(file: File) -> list[tuple[int, Record | BadSample]]:
    """The rows of a file; an unreadable file gives one bad row with the number 0."""
    rows = attempt("", lambda: list(read_rows([file])))
    if isinstance(rows, BadSample):
        return [(0, rows)]
    return [(int(place.rpartition(":")[2]), record) for place, record in rows]


def _is_searched(file: File) -> bool:
    """Whether the lines of a file can be read by byte offset."""
    if file.suffix.lower() in COMPRESSIONS or file_format(file) not in ("", "JSON"):
        return False
    with file.open("rb") as source:
        first = next((line for line in source if not is_blank(line)), b"")
    return is_one_a_line(file, first)
