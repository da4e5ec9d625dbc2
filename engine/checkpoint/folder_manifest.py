"""The manifest of a folder of shards: a SHA-256 for each file, written last of all."""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
"""Name of the file in a folder."""
Hashes = dict[str, dict[str, Any]]
"""`sha256` and `bytes` of files by their names."""


def hashes(folder: Path, names: Iterable[str]) -> Hashes:
    """Hashes and sizes of files of a folder."""
    files = {name: folder / name for name in names}
    return {n: {"sha256": digest(f), "bytes": f.stat().st_size} for n, f in files.items()}


def write_manifest(folder: Path, held: Hashes) -> None:
    """Say what a folder holds; without its manifest it is not complete."""
    (folder / MANIFEST).write_text(json.dumps(held, indent=1))


def entries(folder: Path) -> Hashes:
    """What the manifest of a folder says.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no manifest; names it.
    """
    path = folder / MANIFEST
    try:
        read = json.loads(path.read_bytes())
        held = {
            str(name): {"sha256": str(one["sha256"]), "bytes": int(one["bytes"])}
            for name, one in read.items()
        }
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it holds no hashes") from error
    return held


def has_manifest(folder: Path) -> bool:
    """Whether a folder has a manifest; those that other programs wrote have none."""
    return (folder / MANIFEST).is_file()


def refuse_changed(folder: Path, wanted: Iterable[str]) -> None:
    """Refuse a folder that is not what was written.

    Args:
        folder: Has a manifest.
        wanted: Names of files that it must hold.

    Raises:
        ValueError: Names the file that is missing, was cut off, changed or added.
    """
    held = entries(folder)
    missing = sorted(name for name in {*held, *wanted} if not (folder / name).is_file())
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}: it was not written whole")
    added = sorted({*wanted} - {*held})
    if added:
        raise ValueError(f"{folder / added[0]} is not in {MANIFEST}: it was not written with it")
    for name, one in held.items():
        state = (folder / name).stat()
        if state.st_size != one["bytes"]:
            size = f"has {state.st_size} bytes, {one['bytes']} were written"
            raise ValueError(f"{folder / name} {size}: it was cut off")
        if hashed(folder / name, (state.st_mtime_ns, state.st_ino)) != one["sha256"]:
            raise ValueError(
                f"{folder / name} was damaged: its SHA-256 is not the one that was written"
            )


@lru_cache(maxsize=4096)
def hashed(file: Path, state: tuple[int, ...]) -> str:
    """SHA-256 of a file in a certain state; found once."""
    return digest(file)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
