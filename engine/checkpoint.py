"""Checkpoints that survive: written whole or not at all, verified when read."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from typing_extensions import override


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames; keeps a SHA-256 next to each file.

    A kill at any moment leaves the previous file as it was. What is read is compared with its hash
    and loaded as data only, never as code.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            torch.save(checkpoint, partial)
            sync(partial)
            write_manifest(target, partial)
            os.replace(partial, target)
            sync(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    @override
    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        verify(Path(path))
        return super().load_checkpoint(path, map_location, weights_only=weights_only is not False)

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        super().remove_checkpoint(path)
        manifest(Path(path)).unlink(missing_ok=True)


def manifest(checkpoint: Path) -> Path:
    """The file that holds a checkpoint's hash."""
    return checkpoint.with_name(f"{checkpoint.name}.json")


def write_manifest(checkpoint: Path, partial: Path) -> None:
    """Write the hash of a file that is about to be renamed to `checkpoint`.

    Where a checkpoint stands there already, its hash is kept too: until the rename it is valid.
    """
    accepted = [{"sha256": digest(partial), "bytes": partial.stat().st_size}]
    if checkpoint.exists() and manifest(checkpoint).exists():
        accepted += json.loads(manifest(checkpoint).read_text())[:1]
    beside = manifest(checkpoint).with_suffix(".partial")
    beside.write_text(json.dumps(accepted))
    sync(beside)
    os.replace(beside, manifest(checkpoint))


def verify(checkpoint: Path) -> None:
    """Compare a checkpoint with its hash, where there is one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not what was written.
    """
    if not checkpoint.exists():
        raise FileNotFoundError(f"no checkpoint {checkpoint}")
    real = checkpoint.resolve()  # last.ckpt is a link
    if not manifest(real).exists():
        return
    accepted = json.loads(manifest(real).read_text())
    size = real.stat().st_size
    if all(size != entry["bytes"] for entry in accepted):
        raise ValueError(f"{checkpoint} has {size} bytes, {accepted[0]['bytes']} were written")
    if digest(real) not in [entry["sha256"] for entry in accepted]:
        raise ValueError(f"{checkpoint} was damaged: its SHA-256 is not the one that was written")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the system write a file or folder to the disk."""
    with suppress(PermissionError):  # some file systems do not open folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def newest(folder: Path) -> Path:
    """The newest sound checkpoint of the runs below a folder.

    Damaged ones are named on the way and passed over.

    Raises:
        FileNotFoundError: There is none.
    """
    found = sorted(folder.glob("*/checkpoints/*.ckpt"), key=lambda p: p.stat().st_mtime)
    for checkpoint in reversed([p for p in found if not p.is_symlink()]):
        try:
            verify(checkpoint)
            return checkpoint
        except ValueError as damage:
            print(f"{damage}; trying the one before")
    raise FileNotFoundError(f"no checkpoint below {folder}; train first, or give --ckpt_path")
