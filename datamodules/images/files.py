"""Pairs of images and captions from a folder or from a dataset of the Hugging Face hub."""

import json
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from typing_extensions import override

from datamodules.images.source import (
    FileSource,
    ImageSource,
    Pair,
    image_bytes,
    read_image,
    texts,
)
from datamodules.records.document import printable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import reason
from datamodules.records.formats.files import describe
from datamodules.records.formats.hub import hub_name, hub_record, hub_rows
from datamodules.records.formats.parquet import require_column
from datamodules.records.indexed_rows import IndexedRows
from datamodules.records.remote.file import File

if TYPE_CHECKING:  # the import takes seconds
    from datasets import Dataset


class ImageTextFolder(FileSource):
    """One pair a line of `metadata.jsonl`, which lies beside its images.

    Args:
        path: A folder that holds one or more `metadata.jsonl`, such a file, or a glob.
        image: The key of the image's file name, relative to the folder of the line.
        caption: The key of the caption, a text or a list of texts.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    endings = ("metadata.jsonl",)

    def __init__(
        self, path: str, image: str = "file_name", caption: str = "text", weight: float = 1.0
    ):
        super().__init__(path, weight)
        self.image = image
        self.caption = caption

    @override
    def options(self) -> list[object]:
        return [self.image, self.caption]

    @override
    def __len__(self) -> int:
        return len(self._lines)

    @override
    def location(self, index: int) -> str:
        return self._lines.location(index)

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        record = self._lines.record(index)
        name = record.get(self.image)
        if not isinstance(name, str):
            raise BadSampleError(f"no file name under {self.image!r}")
        captions = texts(record.get(self.caption))
        return Pair(read_image(self._lines.file(index).parent / name), captions)

    @cached_property
    def _lines(self) -> IndexedRows:
        return IndexedRows(self.files())


class ImageFiles(FileSource):
    """Images without captions: every image file below a folder.

    Args:
        path: A folder, a file or a glob; links to folders are followed.
        endings: Of the files' names, without the dot, in lower case.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    def __init__(
        self,
        path: str,
        endings: tuple[str, ...] = ("jpg", "jpeg", "png", "webp"),
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        self.endings = tuple(f".{ending}" for ending in endings)

    @override
    def options(self) -> list[object]:
        return [*self.endings]

    @override
    def files(self) -> list[File]:
        """The image files, sorted; broken links are among them, and count as bad.

        Raises:
            FileNotFoundError: There is none.
        """
        wanted = tuple(self.endings)
        found = [file for file in super().files() if file.name.lower().endswith(wanted)]
        if not found:
            raise FileNotFoundError(f"{self.path} holds no file that ends in {', '.join(wanted)}.")
        return found

    @override
    def __len__(self) -> int:
        return len(self._found)

    @override
    def location(self, index: int) -> str:
        return printable(str(self._found[index]))

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        return Pair(read_image(self._found[index]), [""])


class ImageTextHub(ImageSource):
    """One pair a row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        image: The column of the images.
        caption: The column of the captions, texts or lists of texts; None where there are none.
        revision: Commit or tag.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        split: str = "train",
        image: str = "image",
        caption: str | None = "caption",
        revision: str | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        self.dataset = name
        self.config = config
        self.split = split
        self.image = image
        self.caption = caption
        self.revision = revision

    @property
    @override
    def name(self) -> str:
        return hub_name(self.dataset, self.config, self.split)

    @override
    def fingerprint(self) -> str:
        """All arguments but the weight; of a local copy also the files."""
        files = describe(file for file in sorted(Path(self.dataset).rglob("*")) if file.is_file())
        options = [self.name, self.image, self.caption, self.revision]
        return json.dumps(["ImageTextHub", *options, files])

    @override
    def prepare(self) -> None:
        _ = self._rows

    @override
    def __len__(self) -> int:
        return len(self._rows)

    @override
    def location(self, index: int) -> str:
        return f"{self.name}:{index + 1}"

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        row = hub_record(self._rows, index)
        cell = row[self.image] or {}
        if not isinstance(cell, dict):
            raise BadSampleError(f"{self.image}: no image")
        image = image_bytes(cell.get("bytes"), cell.get("path"), Path(self.dataset))
        return Pair(image, texts(row[self.caption]) if self.caption else [""])

    @cached_property
    def _rows(self) -> "Dataset":
        """The rows, memory-mapped by `datasets`.

        Raises:
            FileNotFoundError: The dataset looks like a folder, but does not exist.
            ValueError: It lacks a column, or holds no images there, or cannot be loaded.
        """
        from datasets import Image

        rows = hub_rows(self.dataset, self.config, self.split, self.revision)
        columns = [self.image, *([self.caption] if self.caption else [])]
        for column in columns:
            require_column(column, rows.column_names, self.name)
        rows = rows.select_columns(columns)
        try:
            return rows.cast_column(self.image, Image(decode=False))
        except Exception as error:  # of pyarrow or of datasets
            message = f"{self.name}: column {self.image!r} holds no images: {reason(error)}"
            raise ValueError(message) from error
