"""Files and folders that get their name only when they are whole.

A draft is a hidden folder next to the target, `.NAME.draft.HOST.RANDOM`. It holds what is being
written, and a lock file that its writer keeps locked. Drafts of killed writers are removed when
somebody next writes a file or folder there.
"""

import errno
import fcntl
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""A file of a draft that its writer holds locked; the system releases it when the writer dies."""
OLD = 86400.0
"""Seconds without a change after which a draft is removed that may have a writer elsewhere."""
MARK = ".draft."
"""In the name of every draft."""
LONGEST = 40
"""Characters of a name that a draft repeats: file systems take 255 bytes, a character up to 4."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk answers that takes no more."""
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM)
"""What file systems answer that do not sync folders."""


@contextmanager
def whole(target: Path, keeps: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Write a file or a folder, all or nothing.

    Within the context the caller makes a file or a folder at the path it is given, which has the
    target's name. At the end that is synced to the disk and renamed to the target. An error or a
    kill leaves the target as it was. A file replaces a file; a folder replaces nothing but an empty
    folder, unless `keeps` says more.

    Args:
        target: What to write; folders above it are made.
        keeps: Whether a folder that another process finished meanwhile is kept, and this one
            dropped; where it is not, the target is replaced. Without it, a folder that holds
            something is an error.

    Yields:
        The path to write.

    Raises:
        OSError: It cannot be written; a full disk is reported with the target's name.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        with _draft(target) as path:
            yield path
            _sync_all(path)
            _publish(path, target, keeps)
        sync(target.parent)
    except OSError as error:
        if error.filename is None and error.errno in FULL:  # writing to an open file names none
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def remove_abandoned(folder: Path) -> None:
    """Remove the drafts in a folder whose writers are no longer alive."""
    for draft in folder.glob(f".*{MARK}*"):
        with suppress(OSError):  # removed meanwhile, or another user's
            if _is_abandoned(draft):
                shutil.rmtree(draft, ignore_errors=True)


def sync(path: Path) -> None:
    """Have the system write a file or a folder to the disk.

    Raises:
        OSError: The disk cannot take it; of folders, file systems that do not sync them are fine.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NO_SYNC or not path.is_dir():
            raise


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A path in a new draft; the draft and all that is left in it are removed at the end."""
    prefix = f".{target.name[:LONGEST]}{MARK}{_host()}."
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    lock = None
    try:
        draft.chmod(0o755)  # mkdtemp gives 700; other users must see the lock
        lock = _locked(draft)
        yield draft / target.name
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(draft, ignore_errors=True)


def _locked(draft: Path) -> int | None:
    """A lock that is held before others can see it; None on a file system without locks."""
    lock = os.open(draft / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        os.close(lock)
        (draft / "lock").unlink()
        return None
    (draft / "lock").rename(draft / LOCK)
    return lock


def _is_abandoned(draft: Path) -> bool:
    """Whether nobody writes a draft any more.

    A free lock proves it on the writer's own machine. Some network file systems show locks to one
    machine only, so a draft of another must be old as well.
    """
    if _is_locked(draft):
        return False
    is_ours = draft.name.rpartition(MARK)[2].partition(".")[0] == _host()
    return (is_ours and (draft / LOCK).exists()) or time.time() - _last_change(draft) > OLD


def _is_locked(draft: Path) -> bool:
    try:
        lock = os.open(draft / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _last_change(draft: Path) -> float:
    """When anything in a draft was changed last, in seconds."""
    return max(path.stat().st_mtime for path in (draft, *draft.rglob("*")))


def _publish(path: Path, target: Path, keeps: Callable[[Path], bool] | None) -> None:
    """Rename to the target what was written; `whole` says what happens to another folder there."""
    try:
        os.replace(path, target)
    except OSError:
        if keeps is None or not target.is_dir():
            raise
        if not keeps(target):
            os.replace(target, path.with_name(f"{path.name}.broken"))  # goes with the draft
            os.replace(path, target)


def _sync_all(path: Path) -> None:
    """Have the system write a file, or a folder with all that it holds, to the disk."""
    for inner in path.rglob("*"):
        if not inner.is_symlink():
            sync(inner)
    sync(path)


def _host() -> str:
    """This machine's name, as part of a file's name."""
    return re.sub(r"[^\w-]", "-", socket.gethostname())[:LONGEST] or "here"
