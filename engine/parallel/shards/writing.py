"""Writes folders of shards: each rank what it holds, under one name that appears at the end."""

import io
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from engine.checkpoint.folder_manifest import Hashes, hashes, write_manifest
from engine.checkpoint.sharded import INDEX, PLACES, REST
from engine.disk.whole import whole
from engine.parallel.shards.agreed import cause_of, on_each, on_first

State = dict[str, Any]
"""Names and tensors, nested; sharded ones are DTensors."""


def write_folder(target: Path, state: State, rest: bytes, group: Any) -> None:
    """Write a checkpoint as a folder of shards, whole or not at all; every rank must call.

    The shards are written to a draft next to the target, then the manifest, and then the draft gets
    the target's name: a kill at any moment leaves what was there.

    Args:
        target: The folder, which all ranks see.
        state: What is written in shards.
        rest: Content of the file for everything else; the first rank's counts.
        group: All ranks, on the CPU.

    Raises:
        OSError: It could not be written, on one rank or on several; the same on all.
    """
    from torch.distributed.checkpoint import CheckpointException

    try:
        with ExitStack() as stack:
            draft = on_first(partial(begun, target, stack), group)
            save_shards(state, draft, group)
            held = on_each(partial(own_hashes, draft, dist.get_rank(group)), group)
            on_first(partial(complete, draft, rest, held), group)
            on_first(stack.close, group)
    except (Exception, CheckpointException) as error:
        cause = cause_of(error).removeprefix(f"{target}: ")
        raise OSError(
            f"{target} could not be saved: {cause}; older checkpoints stay as they are"
        ) from error


def begun(target: Path, stack: ExitStack) -> Path:
    """A new empty draft, which gets the target's name when the stack is closed."""
    draft = stack.enter_context(whole(target, keeps=lambda _: False))
    draft.mkdir()
    return draft


def save_shards(state: State, draft: Path, group: Any) -> None:
    """Write each rank's shards, and the index of all; every rank must call."""
    import torch.distributed.checkpoint as dcp

    dcp.save(state, storage_writer=dcp.FileSystemWriter(draft), process_group=group)


def own_hashes(draft: Path, rank: int) -> Hashes:
    """Hashes of the files that a rank has written; what it wrote is still in memory."""
    return hashes(draft, sorted(file.name for file in draft.glob(f"__{rank}_*")))


def complete(draft: Path, rest: bytes, held: list[Hashes]) -> None:
    """Write what is not in shards, and the manifest.

    Raises:
        OSError: Shards of other ranks are not there.
    """
    shards = {name: one for part in held for name, one in part.items()}
    missing = sorted(name for name in shards if not (draft / name).is_file())
    if missing:
        raise OSError(
            f"{missing[0]} of another machine is not here: folders of shards need a file system "
            "that all machines share"
        )
    (draft / REST).write_bytes(rest)
    write_manifest(draft, {**shards, **hashes(draft, (INDEX, REST))})


def as_bytes(rest: State) -> bytes:
    """What torch.save writes; taken at once, so that the training may change the originals."""
    buffer = io.BytesIO()
    torch.save(rest, buffer)
    return buffer.getvalue()


def copied(state: State) -> State:
    """The same tensors in memory of the CPU that nothing else changes."""
    from torch.utils._pytree import tree_map_only

    copy = partial(torch.Tensor.to, device="cpu", copy=True)
    return dict(tree_map_only(torch.Tensor, lambda one: copy(one.detach()), state))


def in_shards(checkpoint: State) -> tuple[State, State]:
    """What of a checkpoint is written in shards, and the rest: weights, optimizers, averages."""
    rest = dict(checkpoint)
    state = {"state_dict": rest.pop("state_dict")}
    for number, one in enumerate(rest.pop("optimizer_states", [])):
        state[f"optimizer_{number}"] = one
    rest, shards, places = without_shards(rest)
    return {**state, **shards}, {**rest, PLACES: places}


def without_shards(checkpoint: State) -> tuple[State, State, list[tuple[str, ...]]]:
    """A checkpoint without its sharded tensors; these, nested alike; and their places."""
    from torch.distributed.tensor import DTensor

    rest: State = {}
    shards: State = {}
    places: list[tuple[str, ...]] = []
    for name, value in checkpoint.items():
        if isinstance(value, DTensor):
            shards[name] = value
            places.append((name,))
        elif isinstance(value, dict):
            rest[name], inner, within = without_shards(value)
            shards |= {name: inner} if inner else {}
            places += [(name, *place) for place in within]
        else:
            rest[name] = value
    return rest, shards, places
