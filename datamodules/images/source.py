"""Sources of images and text: their interface, and what all of them share."""

import json
import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.images.preprocess import StoredImage
from datamodules.records.document import BadSample, to_document
from datamodules.records.errors import BadSampleError
from datamodules.records.formats.files import describe, find_files
from datamodules.records.remote.address import short_name
from datamodules.records.remote.file import File
from datamodules.records.source import IndexedSource, drawn_from


@dataclass(frozen=True)
class Pair:
    """An image and its captions.

    Attributes:
        image: The image; training learns to generate it.
        captions: One or more texts; each draw takes one of them.
    """

    image: StoredImage
    captions: Sequence[str]


@dataclass(frozen=True)
class Segment:
    """An image within a document.

    Attributes:
        image: The image.
        is_target: Whether it is to be generated; else it is clean context.
    """

    image: StoredImage
    is_target: bool


Interleaved = list[str | Segment]
"""Text and images of one document, in order."""


class ImageSource(IndexedSource):
    """A named, weighted supply of documents, each found by its index.

    Args:
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    @abstractmethod
    def sample(self, index: int, rng: Random) -> Pair | Interleaved:
        """One document.

        Args:
            index: Its index, from 0.
            rng: For random choices of the source; the same for the same draw.

        Raises:
            BadSampleError: The document is broken; says how.
        """


class FileSource(ImageSource):
    """Documents in one file or many.

    Args:
        path: A file, a folder (every file below it with the right ending) or a glob; or a URL.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    endings: Sequence[str] = ()
    """File suffixes in a folder, in lower case."""

    def __init__(self, path: str, weight: float = 1.0):
        super().__init__(weight)
        self.path = path

    @property
    def name(self) -> str:
        """The last two parts of the path."""
        return short_name(self.path)

    def files(self) -> list[File]:
        """The files, sorted; litter of macOS and notebooks is left out, and a warning counts it.

        Raises:
            FileNotFoundError: There is none.
        """
        return find_files(self.path, self.endings)

    def fingerprint(self) -> str:
        """Class, options, and path, size and time of change of every file."""
        return json.dumps([type(self).__name__, self.options(), describe(self._found)])

    @cached_property
    def _found(self) -> list[File]:
        """The files, listed once a process."""
        return self.files()

    def options(self) -> list[object]:
        """Options that change the documents; part of the fingerprint, ready for JSON."""
        return []


class ShardedSource(FileSource):
    """Documents in shards, which may lie behind URLs.

    Args:
        path: A file, a folder (every file below it with the right ending) or a glob; or a URL.
        window: Shards whose documents are mixed at a time, in training; None mixes all. Remote
            ones are then copied whole to this node for a while.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `window` is below 1.
    """

    def __init__(self, path: str, window: int | None, weight: float):
        super().__init__(path, weight)
        if window is not None and window < 1:
            raise ValueError(f"window must be at least 1, got {window}.")
        self.window = window

    @property
    @abstractmethod
    def shards(self) -> NDArray[np.integer]:
        """Number of the file of each document, [N]."""

    @override
    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.window is None:
            return super().order(rng)
        return drawn_from(self.shards, self.window, rng)


def texts(value: object) -> list[str]:
    """The captions that a cell holds: one text or a list of them, as str or UTF-8 bytes.

    Raises:
        BadSampleError: There is none, or one is blank or not UTF-8.
    """
    values = value if isinstance(value, list) else [value]
    found = [to_document(one, "") for one in values]
    for one in found:
        if isinstance(one, BadSample):
            raise BadSampleError(f"caption: {one.reason}")
    if not found:
        raise BadSampleError("no caption")
    return [one.text for one in found if not isinstance(one, BadSample)]


def read_image(path: File) -> bytes:
    """The bytes of an image file.

    Raises:
        BadSampleError: The file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadSampleError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise BadSampleError(f"{path} cannot be read: {error}") from error


def image_bytes(content: object, path: object, folder: File) -> bytes:
    """The image file that a cell holds or names, as the `datasets` image feature has it.

    Args:
        content: The file itself, or None.
        path: Its path otherwise, str or bytes.
        folder: The path is relative to it.

    Raises:
        BadSampleError: There is neither, or no file has that path.
    """
    if isinstance(content, bytes):
        return content
    if not path:
        raise BadSampleError("no image")
    return read_image(folder / (os.fsdecode(path) if isinstance(path, bytes) else str(path)))
