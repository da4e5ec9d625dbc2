"""Checkpoints that survive: written whole or not at all, verified when read."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from typing_extensions import override

from engine.checkpoint.facts import Facts, facts
from engine.checkpoint.manifest import (
    UNREADABLE,
    manifest,
    unreadable,
    verify,
    write_manifest,
)
from engine.disk.whole import remove_abandoned, whole
from engine.ranks.messages import print_once


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes files whole or not at all (`engine.disk.whole`); keeps a SHA-256 next to each file.

    A kill at any moment leaves the previous file as it was. What is read is compared with its hash
    and loaded as data only, never as code.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        target = Path(path)
        try:
            with whole(target) as draft:
                write(checkpoint, draft)
                write_manifest(target, draft)
        except OSError as error:
            cause = error.strerror or error
            raise OSError(
                f"{target} could not be saved: {cause}; older checkpoints stay as they are"
            ) from error

    @override
    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint as data, whatever `weights_only` says.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It was damaged, or holds more than data.
        """
        if Path(path).is_dir():
            raise ValueError(
                f"{path} is a folder of shards, not the file of a checkpoint: continue it under "
                "configs/strategy/fsdp2.yaml, on any number of ranks, one included"
            )
        verify(Path(path))
        try:
            return super().load_checkpoint(path, map_location, weights_only=True)
        except (RuntimeError, *UNREADABLE) as error:
            raise ValueError(f"{path} {unreadable(Path(path), error)}") from error

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        super().remove_checkpoint(path)
        manifest(Path(path)).unlink(missing_ok=True)


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint to a file.

    torch hides why a write failed; one more write makes the system report it.

    Raises:
        OSError: The disk does not take it.
    """
    try:
        torch.save(checkpoint, path)
    except RuntimeError:
        with path.open("ab") as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what saves left half-written below a folder of runs when they were killed."""
    for checkpoints in folder.glob("*/checkpoints"):
        remove_abandoned(checkpoints)


def newest(folder: Path, network: Any = None) -> Path:
    """The newest sound checkpoint of the runs below a folder.

    Later runs come before earlier ones, by their numbers, and within a run later steps; clocks are
    not asked. Damaged, dangling and unreadable checkpoints are named and skipped, and so is another
    model where another checkpoint is nearer to the wanted network.

    Args:
        folder: Holds the numbered runs.
        network: The `network` of the config, as checkpoints hold it; None takes any.

    Raises:
        FileNotFoundError: There is none.
    """
    found = first_sound(candidates(folder), network)
    if found is None:
        raise FileNotFoundError(f"no checkpoint below {folder}; train first, or give --ckpt_path")
    return found


def first_sound(found: list[Path], network: Any = None) -> Path | None:
    """Of some checkpoints, the newest that is sound and of the same model; the others are named."""
    listed = sorted(found, key=age, reverse=True)
    like = None if network is None else nearest_of(listed, network)
    for checkpoint in listed:
        try:
            held = facts(checkpoint)
            if like is not None and is_other(held, like):
                print_once(f"passed over: {checkpoint} is another model than {like.path}")
                continue
            verify(checkpoint)
            return checkpoint
        except (RuntimeError, *UNREADABLE) as damage:
            print_once(f"passed over: {reason(checkpoint, damage)}")
    return None


def nearest_of(listed: list[Path], network: Any) -> Facts | None:
    """Of some checkpoints, the first whose network differs least from that of a config.

    What a network is built from need not change its shapes, so the next best counts as the same
    model where none is built from the very same.
    """
    best: tuple[int, Facts] | None = None
    for checkpoint in listed:
        with suppress(RuntimeError, *UNREADABLE):
            held = facts(checkpoint)
            far = num_different(held.network, network)
            if best is None or far < best[0]:
                best = (far, held)
            if far == 0:
                break
    return best[1] if best else None


def num_different(a: Any, b: Any) -> int:
    """How many values of two trees differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return sum(num_different(a.get(key), b.get(key)) for key in {*a, *b})
    return int(a != b)


def is_other(one: Facts, like: Facts) -> bool:
    """Whether two checkpoints are of different models; one that says nothing may be of any."""
    return None not in (one.shapes, like.shapes) and one.shapes != like.shapes


def candidates(folder: Path) -> list[Path]:
    """Everything below a folder of runs that may be a checkpoint; what cannot be read is named."""
    return [path for run in listing(folder) for path in candidates_of(run)]


def candidates_of(run: Path) -> list[Path]:
    """Everything in a run folder that may be a checkpoint.

    A link to one of them adds none. One that leads nowhere is listed: what it led to was
    a checkpoint.
    """
    named = [path for path in listing(run / "checkpoints") if path.suffix == ".ckpt"]
    files = {os.path.realpath(path) for path in named if not path.is_symlink()}
    return [p for p in named if not p.is_symlink() or os.path.realpath(p) not in files]


def listing(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where there is none. One that cannot be read is named."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        print_once(f"passed over: {reason(folder, error)}")
        return []


def age(checkpoint: Path) -> tuple[int, int, float]:
    """Sorts checkpoints from old to new: number of the run, step, and time where neither is known.

    A link that leads nowhere is as old as what it led to; where its name has no step, the newest.
    """
    is_lost = checkpoint.is_symlink() and not checkpoint.exists()
    name = os.path.basename(os.readlink(checkpoint)) if is_lost else checkpoint.name
    run, named = checkpoint.parents[1].name, re.search(r"step[=_]?(\d+)", name)
    step, time_stamp = int(named[1]) if named else sys.maxsize if is_lost else -1, 0.0
    with suppress(RuntimeError, *UNREADABLE):
        time_stamp = checkpoint.stat().st_mtime
        step = step if named else facts(checkpoint).step or -1
    return (int(run) if run.isdigit() else -1, step, time_stamp)


def reason(checkpoint: Path, error: Exception) -> str:
    """Why a checkpoint is passed over, its path first."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or checkpoint}: {os.strerror(error.errno)}"
    message = " ".join(str(error).split())
    return message if str(checkpoint) in message else f"{checkpoint}: {message}"
