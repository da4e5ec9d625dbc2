"""The interface of text sources, and the base of those that read files."""

import json
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import override

from datamodules.records.document import BadSample, Document
from datamodules.records.formats.files import find_files, hashed
from datamodules.records.remote.address import short_name
from datamodules.records.remote.file import File
from datamodules.records.source import Source


class TextSource(Source):
    """A named, weighted source of documents.

    Args:
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    @abstractmethod
    def documents(self) -> Iterator[Document | BadSample]:
        """The documents in a fixed order; unusable ones come as a `BadSample`."""


class SyntheticText(TextSource):
    """Synthetic documents, a function of index and seed; needs no file.

    Args:
        num: Number of documents.
        seed: Seed of the documents; use different seeds for training and test.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1.
    """

    kind: ClassVar[str]
    """The first part of the name."""
    grammar: ClassVar[int]
    """Version of the documents; increased when one changes, so that they are tokenised again."""

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
        """Document `index` of this seed."""


class FileText(TextSource):
    """Documents of one or several files.

    Args:
        path: A file, a folder (every file below it with a matching extension) or a glob.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    endings: ClassVar[tuple[str, ...]] = ()
    """Extensions of the files of a folder, compressed or not; empty for every file."""

    def __init__(self, path: str, weight: float = 1.0):
        super().__init__(weight)
        self.path = path

    @property
    def name(self) -> str:
        """The last two parts of the path."""
        return short_name(self.path)

    def files(self) -> list[File]:
        """The files, sorted; litter of macOS and notebooks is left out.

        Raises:
            FileNotFoundError: There is none; names the path and the variable that may be the cause.
        """
        return find_files(self.path, self.endings)

    def fingerprint(self) -> str:
        """Class, options, and path, size, modification time and content of every file.

        Of remote files, the version that their store tells stands for time and content.
        """
        return json.dumps([type(self).__name__, self.options(), hashed(self.files())])

    def options(self) -> list[object]:
        """Other options that determine the documents; part of the fingerprint, ready for JSON."""
        return []
