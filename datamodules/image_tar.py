"""Pairs of images and captions from WebDataset shards."""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from random import Random

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.documents import Reject, parse
from datamodules.fusion_source import FileSource, Pair, texts
from datamodules.quarantine import UnusableError

IMAGES = ("jpg", "jpeg", "png", "webp")
"""Suffixes of images."""
TEXTS = ("txt", "json")
"""Suffixes of captions; where a sample has both, the first counts."""
FORMAT = 1
"""Version of the index."""


class ImageTextTar(FileSource):
    """One pair a sample of uncompressed tar files: members that differ only in their suffix.

    The offsets of all members are found once and kept, so that any sample is one read away.

    Args:
        path: A file, a folder of `.tar` files or a glob.
        caption: The key of the caption in a `.json` member; a `.txt` member is the caption. None
            where there are none.
        cache: Folder of the indices.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    suffix = ".tar"

    def __init__(
        self,
        path: str,
        caption: str | None = "caption",
        cache: str = ".cache/images",
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        self.caption = caption
        self.cache = cache

    @override
    def options(self) -> list[object]:
        return [FORMAT, self.caption]

    @override
    def prepare(self) -> None:
        _ = self._index

    @override
    def __len__(self) -> int:
        return len(self._index[0])

    @override
    def place(self, index: int) -> str:
        return f"{self._shard(index)}:{self._index[1][index]}"

    @override
    def sample(self, index: int, rng: Random) -> Pair:
        _, start, size, text_start, text_size, is_json = self._index[0][index].tolist()
        if size < 0:
            raise UnusableError(f"no image ({', '.join(IMAGES)})")
        if text_size < 0 and self.caption:
            raise UnusableError(f"no caption ({', '.join(TEXTS)})")
        with self._shard(index).open("rb") as file:
            image = _read(file.fileno(), start, size)
            if self.caption is None:
                return Pair(image, [""])
            text = _read(file.fileno(), text_start, text_size)
        return Pair(image, texts(self._of_json(text) if is_json else text))

    def _of_json(self, text: bytes) -> object:
        value = parse(text, "")
        if isinstance(value, Reject):
            raise UnusableError(f"caption: {value.reason}")
        if not isinstance(value, dict) or self.caption not in value:
            raise UnusableError(f"caption: no {self.caption!r}")
        return value[self.caption]

    def _shard(self, index: int) -> Path:
        return self._found[self._index[0][index, 0]]

    @cached_property
    def _found(self) -> list[Path]:
        return self.files()

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Shard, place and size of image and caption, and whether it is JSON, [N, 6]; the names."""
        digest = hashlib.sha256(self.fingerprint().encode()).hexdigest()[:24]
        path = Path(self.cache) / f"{digest}.npz"
        if not path.is_file():
            _save(path, [row for n, file in enumerate(self._found) for row in _samples(n, file)])
        with np.load(path) as arrays:
            return arrays["place"], arrays["name"]


def _samples(number: int, file: Path) -> Iterator[tuple[list[int], str]]:
    """What the index says of each sample of one shard."""
    members: dict[str, dict[str, tuple[int, int]]] = {}
    for name, suffix, start, size in _members(file):
        members.setdefault(name, {}).setdefault(suffix, (start, size))
    for name, own in members.items():
        image = next((own[s] for s in IMAGES if s in own), (-1, -1))
        suffix = next((s for s in TEXTS if s in own), "")
        text = own.get(suffix, (-1, -1))
        if image[1] >= 0 or text[1] >= 0:
            yield [number, *image, *text, int(suffix == "json")], name


def _members(file: Path) -> Iterator[tuple[str, str, int, int]]:
    """Name of the sample, suffix, place and size of each member; all up to where a tar breaks.

    Raises:
        ValueError: The file is no uncompressed tar at all.
    """
    count = 0
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                if member.isfile():
                    path = PurePosixPath(member.name)
                    stem, _, suffix = path.name.partition(".")
                    count += 1
                    yield str(path.parent / stem), suffix.lower(), member.offset_data, member.size
            _check_end(file, tar.offset)
    except tarfile.TarError as error:
        if not count:
            raise ValueError(f"{file} cannot be read as an uncompressed tar: {error}") from error
        rank_zero_warn(f"{file} breaks off after {count} members ({error}); the rest is skipped.")


def _check_end(file: Path, offset: int) -> None:
    """Raise a TarError unless a tar ends where its last member does, which `tarfile` lets pass."""
    with file.open("rb") as content:
        content.seek(offset)
        block = content.read(tarfile.BLOCKSIZE)
    if len(block) not in (0, tarfile.BLOCKSIZE) or block.strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {offset}")


def _save(path: Path, rows: list[tuple[list[int], str]]) -> None:
    """Write the index, all or nothing."""
    if not rows:
        raise ValueError(f"no sample with an image ({', '.join(IMAGES)}) or a caption in any tar.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                place=np.array([row for row, _ in rows], np.int64),
                name=np.array([name for _, name in rows]),
            )
        os.chmod(draft, 0o644)  # mkstemp gives 600; others may share the cache
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _read(file: int, start: int, size: int) -> bytes:
    """A part of a file.

    Raises:
        UnusableError: The file is shorter.
    """
    found = os.pread(file, size, start)
    if len(found) < size:
        raise UnusableError(f"the tar ends {size - len(found)} bytes too early")
    return found
