"""What files hold, as a hash: it follows every change of a small file, and samples a large one."""

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

WHOLE = 2**26
"""Bytes up to which a file is read whole."""
SAMPLES = 64
"""Positions at which a larger file is read, its start and its end among them."""
SAMPLE = 2**16
"""Bytes that are read at each."""


def contents(files: Iterable[Path]) -> list[tuple[str, int, int, str]]:
    """Path, size in bytes, time of change in nanoseconds and hash of each file.

    Two files of the same size and time have the same hash only if they hold the same; above
    64 MiB, only if they hold the same at 64 positions.
    """
    stats = [(file, file.stat()) for file in files]
    return [
        (str(file.absolute()), s.st_size, s.st_mtime_ns, _hash(file, s.st_size, s.st_ctime_ns))
        for file, s in stats
    ]


@lru_cache(maxsize=100_000)
def _hash(file: Path, size: int, changed: int) -> str:
    """Hash of a file; read once a process, until its size or its inode's time of change is new."""
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as source:
        if size <= WHOLE:
            digest.update(source.read())
            return digest.hexdigest()
        for index in range(SAMPLES):
            source.seek(index * (size - SAMPLE) // (SAMPLES - 1), os.SEEK_SET)
            digest.update(source.read(SAMPLE))
    return digest.hexdigest()
