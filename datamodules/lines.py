"""Files of JSON lines with random access."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.documents import Reject, parse
from datamodules.quarantine import UnusableError


class Lines:
    """JSON objects, one a line, in one file or many; blank lines do not count.

    Args:
        files: The files.
    """

    def __init__(self, files: Sequence[Path]):
        self.files = list(files)

    def __len__(self) -> int:
        """Number of lines."""
        return len(self._index)

    def file(self, index: int) -> Path:
        """The file that holds a line."""
        return self.files[self._index[index, 0]]

    def place(self, index: int) -> str:
        """File and number of a line, counted from 1."""
        return f"{self.file(index)}:{self._index[index, 1]}"

    def record(self, index: int) -> dict[str, Any]:
        """The object on a line.

        Raises:
            UnusableError: The line is not UTF-8, not JSON or not an object.
        """
        _, _, start, size = self._index[index]
        with self.file(index).open("rb") as file:
            file.seek(start)
            value = parse(file.read(size), "")
        if isinstance(value, Reject):
            raise UnusableError(value.reason)
        if not isinstance(value, dict):
            raise UnusableError("not a JSON object")
        return value

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        """File, number, first byte and size in bytes of every line, int64 [lines, 4]."""
        rows = []
        for number, path in enumerate(self.files):
            start = 0
            with path.open("rb") as file:
                for line, text in enumerate(file, start=1):
                    if text.strip():
                        rows.append((number, line, start, len(text)))
                    start += len(text)
        return np.array(rows, np.int64).reshape(-1, 4)
