"""Whether a checkpoint is what was written: by the hash next to it, or by its own checksums."""

import json
import os
import pickle
import zipfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.folder_manifest import MANIFEST, digest, has_manifest, refuse_changed
from engine.checkpoint.sharded import INDEX, files_of, refuse_damaged_folder
from engine.disk.whole import whole
from engine.ranks.messages import print_once

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)
"""What a file raises that is no checkpoint, or no longer."""


def manifest(checkpoint: Path) -> Path:
    """The file that holds a checkpoint's hash."""
    return checkpoint.with_name(f"{checkpoint.name}.json")


def write_manifest(checkpoint: Path, draft: Path) -> None:
    """Write the hash of a draft that is about to be renamed to `checkpoint`.

    Where there is a checkpoint already, its hashes are kept too: until the rename one of them
    is valid. A manifest that cannot be read is replaced.
    """
    accepted = [{"sha256": digest(draft), "bytes": draft.stat().st_size}]
    with suppress(OSError, ValueError):
        if checkpoint.exists():
            real = digest(checkpoint)
            accepted += [one for one in entries(checkpoint) if one["sha256"] == real][:1]
    with whole(manifest(checkpoint)) as path:
        path.write_text(json.dumps(accepted))


def entries(checkpoint: Path) -> list[dict[str, Any]]:
    """The hashes and sizes that a checkpoint may have.

    Raises:
        FileNotFoundError: There is no manifest.
        ValueError: The file is none; names it.
    """
    path = manifest(checkpoint)
    try:
        read = json.loads(path.read_bytes())
        listed = [{"sha256": str(one["sha256"]), "bytes": int(one["bytes"])} for one in read]
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it holds no hashes of {checkpoint.name}") from error
    if not listed or not isinstance(read, list):
        raise ValueError(f"{path} is damaged: it holds no hashes of {checkpoint.name}")
    return listed


def verify(checkpoint: Path) -> None:
    """Compare a checkpoint with its hash; without one, its parts with their own checksums.

    A missing hash is reported once. A folder of shards must be whole and hold data alone.

    Raises:
        FileNotFoundError: There is no such file, or a link leads nowhere.
        ValueError: The file is not what was written, or its manifest is damaged.
        OSError: It cannot be read.
    """
    refuse_missing(checkpoint)
    real = checkpoint.resolve()  # last.ckpt is a link
    if real.is_dir():
        verify_folder(real)
        return
    state, beside = real.stat(), manifest(real)
    held = beside.stat().st_mtime_ns if beside.exists() else 0
    fault = verified(real, (state.st_size, state.st_mtime_ns, state.st_ino, held))
    if fault:
        raise ValueError(f"{checkpoint} {fault}")


def verify_folder(folder: Path) -> None:
    """Compare a folder with its manifest; without one, its shards with their sizes in the index.

    Raises:
        ValueError: It is not what was written, or holds more than data; names the file.
    """
    refuse_damaged_folder(folder)
    if has_manifest(folder):
        refuse_changed(folder, files_of(folder))
    elif (folder / INDEX).is_file():
        print_once(f"{folder} has no {MANIFEST}: only sizes of its shards were compared")


def refuse_missing(checkpoint: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        FileNotFoundError: There is no such file, or a link leads nowhere.
    """
    if not checkpoint.exists():
        raise FileNotFoundError(missing(checkpoint))


def missing(checkpoint: Path) -> str:
    """Says that a checkpoint is not there, and where a link leads that leads nowhere."""
    leads = f": the link leads to {os.readlink(checkpoint)}" if checkpoint.is_symlink() else ""
    return f"no checkpoint {checkpoint}{leads}"


@lru_cache
def verified(real: Path, state: tuple[int, ...]) -> str:
    """What is wrong with a file in a certain state; found once, since it is read as a whole."""
    try:
        accepted = entries(real)
    except FileNotFoundError:
        return without_manifest(real)
    if all(state[0] != one["bytes"] for one in accepted):
        return f"has {state[0]} bytes, {accepted[0]['bytes']} were written"
    if digest(real) not in [one["sha256"] for one in accepted]:
        return "was damaged: its SHA-256 is not the one that was written"
    return ""


def without_manifest(real: Path) -> str:
    """What is wrong with a file without hash, as far as that can be known."""
    try:
        with zipfile.ZipFile(real) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        return f"is no whole checkpoint, and has no {manifest(real).name} beside it: {error}"
    if broken:
        return f"was damaged: the checksum of its part {broken} is wrong"
    print_once(
        f"{real} has no {manifest(real).name} beside it: only its parts' checksums were compared"
    )
    return ""


def unreadable(path: Path, error: BaseException) -> str:
    """Why a file cannot be read as a checkpoint, in words."""
    named: list[str] = []
    with suppress(Exception):  # it may be anything
        named = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    if named or "weights_only" in str(error):
        return f"holds more than data and is not read: {', '.join(sorted(named)) or 'code'}"
    return f"is no checkpoint that can be read: {str(error).partition(chr(10))[0]}"
