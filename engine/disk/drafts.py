"""Folders that get their name only when they are whole; what killed runs left is removed."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""A file of a draft that its writer holds locked; the system lets go of it when the writer dies."""
OLD = 86400.0
"""Seconds without a change after which a draft without a lock is removed."""
MARK = ".draft."
"""In the name of every draft."""


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A new folder beside another, to be renamed; removed at the end if it still has its name.

    Drafts whose writers are no longer alive are removed first.

    Args:
        folder: What it shall become; folders above it are made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder.parent)
    place = Path(tempfile.mkdtemp(prefix=f".{folder.name}{MARK}", dir=folder.parent))
    lock = None
    try:
        place.chmod(0o755)  # mkdtemp gives 700; others may share the folder
        lock = _held(place)
        yield place
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(place, ignore_errors=True)


def release(place: Path) -> None:
    """Take the lock out of a draft that is whole and about to be renamed."""
    (place / LOCK).unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the drafts of writers that are no longer alive."""
    for place in folder.glob(f".*{MARK}*"):
        with suppress(OSError):  # removed meanwhile, or somebody else's
            if _is_abandoned(place):
                shutil.rmtree(place, ignore_errors=True)


def _held(place: Path) -> int | None:
    """A lock, held before it can be seen; None on a file system that has none."""
    lock = os.open(place / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        os.close(lock)
        (place / "lock").unlink()
        return None
    (place / "lock").rename(place / LOCK)
    return lock


def _is_abandoned(place: Path) -> bool:
    try:
        lock = os.open(place / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        changes = [path.stat().st_mtime for path in (place, *place.iterdir())]
        return time.time() - max(changes) > OLD
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
