"""A file behind a URL, and what the readers of all formats do with files, local or remote.

A `RemoteFile` has the few methods of a `Path` that readers need. It holds no connection, so that
it can be sent to the processes that build batches.
"""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

from typing_extensions import override

from datamodules.records.errors import MisfitError
from datamodules.records.remote.address import WEB, path_of, protocol, shown
from datamodules.records.remote.copies import opened_copy
from datamodules.records.remote.retry import EARLY, explained, retried
from datamodules.records.remote.store import store_of

Used = TypeVar("Used")
BLOCK = 2**22
"""Bytes that are read ahead where a file is read from its start to its end."""
GAP = 2**16
"""Bytes that are read along between two parts of a file, rather than sending two requests."""
VERSIONS = ("ETag", "etag", "md5Hash", "generation", "blob_id", "content_md5", "Content-MD5")
TIMES = ("Last-Modified", "LastModified", "last_modified", "mtime", "modified", "created")
"""Names under which stores tell what changes with a file: the first one there is counts."""
UNRANGED: set[str] = set()
"""Hosts that were found to send whole files only."""


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL.

    Attributes:
        url: Its address.
        known: Size and version where it was listed with them, else None.
    """

    url: str
    known: tuple[int, str] | None = None

    @override
    def __str__(self) -> str:
        return shown(self.url)

    @property
    def path(self) -> PurePosixPath:
        """Host and path, without a query; files are sorted by it, as local ones are."""
        return path_of(self.url)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """The last extension of its name."""
        return self.path.suffix

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._facts[0]

    @property
    def parent(self) -> "RemoteFile":
        """The folder that contains it."""
        return RemoteFile(self.url.partition("?")[0].rpartition("/")[0])

    def __truediv__(self, name: str) -> "RemoteFile":
        """A file below this folder.

        Raises:
            FileNotFoundError: The name leads elsewhere.
        """
        if name.startswith("/") or "://" in name or ".." in PurePosixPath(name).parts:
            raise FileNotFoundError(f"{name} is no path below {self}")
        return RemoteFile(f"{self.url}/{name}")

    @property
    def identity(self) -> tuple[str, int, str]:
        """Address, size and version: what changes when its content does."""
        return str(self), *self._facts

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes, read ahead in blocks; may be searched."""
        assert mode == "rb"
        return cast(BinaryIO, io.BufferedReader(_Ranges(self), BLOCK))

    def read_bytes(self) -> bytes:
        """All of its bytes."""
        store, path = store_of(self.url)
        return cast(bytes, retried(lambda: store.cat_file(path), self.url))

    def part(self, start: int, size: int) -> bytes:
        """Some bytes; fewer where the file ends before."""
        size = min(size, self.size - start)
        if size <= 0:
            return b""
        if protocol(self.url) in WEB and self._host in UNRANGED:
            return self.copied(lambda path: _local_part(path, start, size))
        try:
            return retried(lambda: self._request(start, size), self.url)
        except NoRangesError:
            UNRANGED.add(self._host)
            return self.part(start, size)

    def copied(self, use: Callable[[Path], Used]) -> Used:
        """What is made of a local copy, which this node keeps for a while."""
        return opened_copy(json.dumps([self.url, self.identity]), self._download, use)

    @property
    def _host(self) -> str:
        return self.path.parts[0]

    def _request(self, start: int, size: int) -> bytes:
        store, path = store_of(self.url)
        if protocol(self.url) in WEB:
            found = self._from_web(store, path, start, size)
        else:
            found = store.cat_file(path, start=start, end=start + size)
        if len(found) != size:
            raise OSError(f"{len(found)} bytes came instead of {size}")
        return cast(bytes, found)

    def _from_web(self, store: Any, path: str, start: int, size: int) -> bytes:
        """As fsspec reads parts of open files: it notices servers that send the whole instead."""
        with store.open(path, "rb", cache_type="none", size=self.size) as file:
            file.seek(start)
            try:
                return cast(bytes, file.read(size))
            except ValueError as error:
                raise NoRangesError(str(error)) from None

    def _download(self, draft: Path) -> None:
        def fetch() -> None:
            store, path = store_of(self.url)
            store.get_file(path, str(draft))
            if draft.stat().st_size != self.size:
                raise OSError(f"{draft.stat().st_size} bytes came instead of {self.size}")

        retried(fetch, self.url)

    @cached_property
    def _facts(self) -> tuple[int, str]:
        """Size and version."""
        if self.known is not None:
            return self.known
        known = looked_up(self.url).known
        assert known is not None
        return known


class NoRangesError(MisfitError):
    """A server sends whole files only."""


class _Ranges(io.RawIOBase):
    """Reads a remote file by parts, wherever it is asked to."""

    def __init__(self, file: RemoteFile):
        self.file = file
        self._at = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.file.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self.file.part(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


File = Path | RemoteFile
"""A file that readers take."""


def looked_up(url: str) -> RemoteFile:
    """A file with its size and version.

    Raises:
        OSError: It does not exist or must not be read, or its size is not told.
    """

    def ask() -> dict[str, Any]:
        store, path = store_of(url)
        return cast(dict[str, Any], store.info(path))

    return with_facts(url, retried(ask, url, EARLY))


def with_facts(url: str, info: dict[str, Any]) -> RemoteFile:
    """A file with what its store tells of it.

    Raises:
        OSError: The store does not tell its size.
    """
    if info.get("type") == "directory":
        raise explained(IsADirectoryError("it is a folder"), url)
    if info.get("size") is None:
        raise explained(OSError("the server does not tell its size"), url)
    version = next((info[key] for key in (*VERSIONS, *TIMES) if info.get(key)), "")
    if isinstance(version, datetime):  # the same file may come with the time in another form
        version = version.timestamp()
    return RemoteFile(url, (int(info["size"]), str(version).strip('"')))


def num_bytes(file: File) -> int:
    """Size of a file."""
    return file.size if isinstance(file, RemoteFile) else file.stat().st_size


def part(file: File, start: int, size: int) -> bytes:
    """Some bytes of a file; fewer where it ends before."""
    return (
        file.part(start, size) if isinstance(file, RemoteFile) else _local_part(file, start, size)
    )


def parts(file: File, extents: Sequence[tuple[int, int]]) -> list[bytes]:
    """Several parts of a file, each given by its first byte and its size.

    Parts of a remote file that lie close together are read by one request.
    """
    if not isinstance(file, RemoteFile):
        with file.open("rb") as source:
            return [os.pread(source.fileno(), size, start) for start, size in extents]
    first = min(start for start, _ in extents)
    span = max(start + size for start, size in extents) - first
    if span > sum(size for _, size in extents) + GAP:
        return [file.part(start, size) for start, size in extents]
    data = file.part(first, span)
    return [data[start - first : start - first + size] for start, size in extents]


def in_copy(file: File, use: Callable[[Path], Used]) -> Used:
    """What is made of a file on this machine: itself, or the copy of a remote one."""
    return file.copied(use) if isinstance(file, RemoteFile) else use(file)


def _local_part(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, start)
