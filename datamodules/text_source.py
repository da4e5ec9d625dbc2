"""What a source of text is, and what all sources that read files share."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from datamodules.documents import Document, Reject
from datamodules.roots import missing
from datamodules.source import Source


class TextSource(Source):
    """A named, weighted supply of documents.

    Args:
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    @abstractmethod
    def documents(self) -> Iterator[Document | Reject]:
        """The documents in a fixed order; what cannot be used comes as a `Reject`."""


class MadeUpText(TextSource):
    """Documents that are made up by number, each always the same; needs no file.

    Args:
        num: Number of documents.
        seed: Another seed makes other documents: keep those of training and test apart.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1.
    """

    kind: ClassVar[str]
    """The first part of the name."""
    grammar: ClassVar[int]
    """Version of what is made up; raised when a document changes, so that tokens are made anew."""

    def __init__(self, num: int, seed: int = 0, weight: float = 1.0):
        super().__init__(weight)
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        self.num = num
        self.seed = seed

    @property
    @override
    def name(self) -> str:
        return f"{self.kind}:{self.num}:{self.seed}"

    @override
    def fingerprint(self) -> str:
        return json.dumps([type(self).__name__, self.grammar, self.num, self.seed])

    @override
    def documents(self) -> Iterator[Document]:
        for index in range(self.num):
            yield Document(self.text(index), f"{self.name}:{index + 1}")

    @abstractmethod
    def text(self, index: int) -> str:
        """Document number `index` of this seed."""


class FileText(TextSource):
    """Documents of one file or many.

    Args:
        path: A file, a folder (every file below it with the right suffix) or a glob.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    suffix = ""
    """What the files of a folder end in."""

    def __init__(self, path: str, weight: float = 1.0):
        super().__init__(weight)
        self.path = path

    @property
    def name(self) -> str:
        """The last two parts of the path."""
        return "/".join(Path(self.path).parts[-2:])

    def files(self) -> list[Path]:
        """The files, sorted.

        Raises:
            FileNotFoundError: There is none; names the path and the variable it may hang on.
            ValueError: A file is empty.
        """
        path = Path(self.path)
        found = path.rglob(f"*{self.suffix}") if path.is_dir() else map(Path, self._matches())
        files = sorted(file for file in found if file.is_file())
        if not files:
            raise missing(f"{path}/*{self.suffix}" if path.is_dir() else self.path)
        for file in files:
            if file.stat().st_size == 0:
                raise ValueError(f"{file} is empty.")
        return files

    def fingerprint(self) -> str:
        """Class, options, and path, size and time of change of every file."""
        return json.dumps([type(self).__name__, self.options(), describe(self.files())])

    def options(self) -> list[object]:
        """What else decides the documents; part of the fingerprint, ready for JSON."""
        return []

    def _matches(self) -> list[str]:
        return [self.path] if Path(self.path).exists() else glob(self.path, recursive=True)


def describe(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size in bytes and time of change in nanoseconds of each file."""
    stats = [(str(file.absolute()), file.stat()) for file in files]
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
