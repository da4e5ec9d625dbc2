"""Copies that a node keeps of remote data for a while: whole or not at all, used by all processes.

Each has its own name, made of what it is a copy of, so that a changed file has another one. The
folder never holds much more than `TRAINER_REMOTE_CACHE_GB`: what was not used for longest goes.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from datamodules.records.errors import MisfitError
from datamodules.records.remote.settings import FOLDER, GIGABYTES, cache_bytes, cache_folder
from engine.disk.whole import whole

Opened = TypeVar("Opened")
LOCKS = ".locks"
"""Folder of the locks within that of the copies."""
TURNS = 10
"""How often a copy is made that others remove before it is opened; then the folder is too small."""


def opened_copy(key: str, make: Callable[[Path], None], use: Callable[[Path], Opened]) -> Opened:
    """Open a copy, which is made first if there is none; one process makes it, others wait.

    What is open stays readable when its copy is removed, as it is for any file.

    Args:
        key: What it is a copy of: another text where that has changed.
        make: Writes it to a path.
        use: Opens it.

    Raises:
        MisfitError: The folder is too small for the copies that are read at the same time.
    """
    path = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:32]
    for _ in range(TURNS):
        with suppress(FileNotFoundError):
            os.utime(path)  # used now
            return use(path)
        with _locked(path):
            if not path.exists():
                with whole(path) as draft:
                    make(draft)
                _make_room(path)
    raise MisfitError(
        f"copies in {path.parent} are removed faster than they are read: {GIGABYTES} is too small."
    )


def _make_room(newest: Path) -> None:
    """Remove the copies that were not used for longest, until the others fit."""
    limit = cache_bytes()
    if newest.stat().st_size > limit:
        size = newest.stat().st_size
        newest.unlink(missing_ok=True)
        raise MisfitError(
            f"a copy of {size / 1e9:.2f} GB does not fit in {newest.parent} ({FOLDER}): "
            f"{GIGABYTES} allows {limit / 1e9:g}."
        )
    found = sorted(_copies(newest.parent))
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= limit:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            total -= size


def _copies(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """When each copy was used last, in nanoseconds; its size; its path."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # removed meanwhile
            if path.is_file():
                stat = path.stat()
                yield stat.st_mtime_ns, stat.st_size, path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a copy; on a file system without locks, several processes make it."""
    folder = path.parent / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / path.name[:2], os.O_CREAT | os.O_RDWR, 0o666)
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
