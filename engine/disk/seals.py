"""Seals of files: hashes block by block, by which damage is found when they are opened.

Up to 4 GiB every block is checked. Of a larger file as many blocks are checked, another choice at
each opening, so that damage is found sooner or later without reading terabytes at each start.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**20
"""Bytes that have one hash."""
MOST = 4096
"""Blocks of a file that are checked at one opening."""
SEAL = "seal.json"
"""The file that holds the hashes of all others in a folder."""


class SealError(ValueError):
    """A file is not what it was when it was sealed."""


def seal(folder: Path) -> None:
    """Write the hashes of all files of a folder, except hidden ones; it has no seal yet."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    hashes = {path.name: {"bytes": path.stat().st_size, "blocks": _hashes(path)} for path in files}
    (folder / SEAL).write_text(json.dumps(hashes))


def check(folder: Path) -> None:
    """Compare all files of a folder with its seal.

    Raises:
        SealError: One is missing, or not what it was; names it.
        Exception: The seal itself cannot be read.
    """
    for name, sealed in json.loads((folder / SEAL).read_bytes()).items():
        path, blocks = folder / name, sealed["blocks"]
        if path.stat().st_size != sealed["bytes"]:
            size = path.stat().st_size
            raise SealError(f"{name} has {size} bytes, but {sealed['bytes']} were written")
        chosen = _chosen(len(blocks))
        wrong = [
            n
            for n, digest in zip(chosen, _hashes(path, chosen), strict=True)
            if digest != blocks[n]
        ]
        if wrong:
            raise SealError(f"{name} is damaged after byte {wrong[0] * BLOCK}")


def _chosen(num_blocks: int) -> list[int]:
    """The blocks that are checked, in order."""
    if num_blocks <= MOST:
        return list(range(num_blocks))
    drawn: NDArray[np.int64] = np.random.default_rng().choice(num_blocks, MOST, replace=False)
    return sorted(drawn.tolist())


def _hashes(path: Path, blocks: Iterable[int] | None = None) -> list[str]:
    """Hash of each block, or of some."""
    count = -(-path.stat().st_size // BLOCK)
    hashes = []
    with path.open("rb") as file:
        for index in range(count) if blocks is None else blocks:
            file.seek(index * BLOCK)
            hashes.append(hashlib.blake2b(file.read(BLOCK), digest_size=8).hexdigest())
    return hashes
