"""Documents of several texts and images from JSON lines."""

from functools import cached_property
from random import Random

from typing_extensions import override

from datamodules.images.source import FileSource, Interleaved, Segment, read_image
from datamodules.records.document import BadSample, to_document
from datamodules.records.errors import BadSampleError
from datamodules.records.indexed_rows import IndexedRows
from datamodules.records.remote.file import File

KINDS = ("text", "image", "generate")
"""Kinds of segments: text, an image as clean context, an image to be generated."""


class InterleavedJsonl(FileSource):
    """One document a line: `{"segments": [{"text": ...}, {"image": path}, {"generate": path}]}`.

    Captioning, generation, editing triples and pages with several images are all of this form.

    Args:
        path: A file, a folder of `.jsonl` files or a glob; its folder is the root of image paths.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    endings = (".jsonl",)

    @override
    def __len__(self) -> int:
        return len(self._lines)

    @override
    def location(self, index: int) -> str:
        return self._lines.location(index)

    @override
    def sample(self, index: int, rng: Random) -> Interleaved:
        record = self._lines.record(index)
        return read_segments(record.get("segments"), self._lines.file(index).parent)

    @cached_property
    def _lines(self) -> IndexedRows:
        return IndexedRows(self.files())


def read_segments(segments: object, folder: File) -> Interleaved:
    """The segments of a document, images read.

    Args:
        segments: A list of objects with one key each, one of `KINDS`.
        folder: Files of images are relative to it.

    Raises:
        BadSampleError: A segment is missing or has the wrong type.
    """
    if not isinstance(segments, list) or not segments:
        raise BadSampleError("no list of 'segments'")
    return [_segment(segment, folder) for segment in segments]


def _segment(segment: object, folder: File) -> str | Segment:
    if not isinstance(segment, dict) or len(segment) != 1 or next(iter(segment)) not in KINDS:
        raise BadSampleError(
            f"a segment must have one key of {', '.join(KINDS)}, not {segment!r:.80}"
        )
    [(kind, value)] = segment.items()
    found = to_document(value, "")
    if isinstance(found, BadSample):
        raise BadSampleError(f"{kind}: {found.reason}")
    if kind == "text":
        return found.text
    return Segment(read_image(folder / found.text), is_target=kind == "generate")
