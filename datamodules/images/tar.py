"""Pairs of images and captions from WebDataset shards."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.images.formats.tar_index import IMAGES, NOWHERE, TEXTS, Extent, read_tars
from datamodules.images.source import Pair, ShardedSource, texts
from datamodules.records.document import BadSample, Document, parse, printable, to_document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import reason
from datamodules.records.remote.file import File, in_copy, parts
from engine.disk.whole import whole

FORMAT = 2
"""Version of the index."""


class ImageTextTar(ShardedSource):
    """One pair a sample of uncompressed tar files, concatenated ones too; see `tar_index`.

    The offsets of all members are indexed once, so that any sample takes one read.

    Args:
        path: A file, a folder of `.tar` files or a glob; or a URL, with brace ranges if need be.
        caption: The key of the caption in a `.json` member; a `.txt` member that holds text is
            the caption itself. None where there are no captions.
        cache: Folder of the indices.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
        window: Shards whose documents are mixed at a time, in training; None mixes all. Remote
            ones are then copied whole to this node for a while; else each document takes a request.

    Attributes:
        passed_over: Number of members that belong to no sample, by reason; known after `prepare`.
    """

    endings = (".tar",)

    def __init__(
        self,
        path: str,
        caption: str | None = "caption",
        cache: str = ".cache/images",
        weight: float = 1.0,
        window: int | None = None,
    ):
        super().__init__(path, window, weight)
        self.caption = caption
        self.cache = cache

    @override
    def options(self) -> list[object]:
        return [FORMAT, self.caption]

    @override
    def prepare(self) -> None:
        _ = self._index
        if self.passed_over:
            found = ", ".join(f"{num} {why}" for why, num in self.passed_over.items())
            rank_zero_warn(f"{self.name}: members that belong to no sample are skipped: {found}.")

    @property
    def passed_over(self) -> dict[str, int]:
        """Number of members that belong to no sample, by reason."""
        return self._index[2]

    @override
    def __len__(self) -> int:
        return len(self._index[0])

    @override
    def location(self, index: int) -> str:
        return printable(f"{self._shard(index)}:{self._index[1][index]}")

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        _, *numbers, is_unclear = self._index[0][index].tolist()
        image, text, record = zip(numbers[::2], numbers[1::2], strict=True)
        if self.caption and is_unclear:
            raise BadSampleError("the tar has its name several times: its parts are ambiguous")
        if image == NOWHERE:
            raise BadSampleError(f"no image ({', '.join(IMAGES)})")
        if self.caption and text == record == NOWHERE:
            raise BadSampleError(f"no caption ({', '.join(TEXTS)})")
        wanted = [image] if self.caption is None else [image, text, record]
        extents = [extent for extent in wanted if extent != NOWHERE]
        found = dict(zip(extents, self._parts(self._shard(index), extents), strict=True))
        shown = _complete(found, image)
        return Pair(shown, [""] if self.caption is None else self._captions(found, text, record))

    def _parts(self, shard: File, extents: Sequence[Extent]) -> list[bytes]:
        """Parts of a shard: of a copy of a remote one where few are in use at a time."""
        if self.window is None:
            return parts(shard, extents)
        return in_copy(shard, lambda path: parts(path, extents))

    def _captions(self, parts: Mapping[Extent, bytes], text: Extent, record: Extent) -> list[str]:
        """The caption of the text or, where it is blank, those of the JSON."""
        found = to_document(b"" if text == NOWHERE else _complete(parts, text), "")
        if isinstance(found, Document):
            return [found.text]
        if record == NOWHERE:
            raise BadSampleError(f"caption: {found.reason}")
        return texts(self._of_json(_complete(parts, record)))

    def _of_json(self, text: bytes) -> object:
        value = parse(text, "")
        if isinstance(value, BadSample):
            raise BadSampleError(f"caption: {value.reason}")
        if not isinstance(value, dict) or self.caption not in value:
            raise BadSampleError(f"caption: no {self.caption!r}")
        return value[self.caption]

    @property
    @override
    def shards(self) -> NDArray[np.int64]:
        return self._index[0][:, 0]

    def _shard(self, index: int) -> File:
        return self._found[self._index[0][index, 0]]

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.str_], dict[str, int]]:
        """`Sample.row` of each sample, [N, 8]; their names; counts of skipped members."""
        digest = hashlib.sha256(self.fingerprint().encode()).hexdigest()[:24]
        path = Path(self.cache) / f"{digest}.npz"
        if path.is_file():
            try:
                return _load(path)
            except Exception as error:  # broken zip archives and arrays raise many types
                rank_zero_warn(f"{path} is broken ({reason(error)}) and is rebuilt.")
        passed: Counter[str] = Counter()
        found = [(n, one) for n, each in enumerate(read_tars(self._found, passed)) for one in each]
        _save(path, [(one.row(n), one.name) for n, one in found], passed)
        return _load(path)


def _load(path: Path) -> tuple[NDArray[np.int64], NDArray[np.str_], dict[str, int]]:
    """Read the index that `_save` wrote."""
    with np.load(path) as arrays:
        passed: dict[str, int] = json.loads(str(arrays["passed"]))
        return arrays["place"], arrays["name"], passed


def _save(path: Path, rows: list[tuple[list[int], str]], passed: Counter[str]) -> None:
    """Write the index, all or nothing."""
    if not rows:
        found = ", ".join(f"{num} {why}" for why, num in passed.items()) or "nothing"
        raise ValueError(
            f"no sample with an image ({', '.join(IMAGES)}) or a caption in any tar: {found}."
        )
    with whole(path) as draft:
        np.savez(
            draft,
            place=np.array([row for row, _ in rows], np.int64),
            name=np.array([name for _, name in rows]),
            passed=json.dumps(passed),
        )


def _complete(parts: Mapping[Extent, bytes], extent: Extent) -> bytes:
    """A part of a file.

    Raises:
        BadSampleError: The file is too short.
    """
    found, missing = parts[extent], extent[1] - len(parts[extent])
    if missing:
        raise BadSampleError(f"the tar ends {missing} bytes too early")
    return found
