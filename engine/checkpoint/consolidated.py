"""Checkpoints of any form, read whole: a file, a folder of shards, or a folder of DeepSpeed."""

import io
import os
import warnings
import zipfile
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.io import SafeCheckpointIO
from engine.checkpoint.manifest import unreadable, verify
from engine.checkpoint.sharded import INDEX, PLACES, REST, WEIGHTS, put, read_index

DEEPSPEEDS_OWN = (
    "module",
    "buffer_names",
    "optimizer",
    "param_shapes",
    "frozen_param_shapes",
    "frozen_param_fragments",
    "shared_params",
    "lr_scheduler",
    "data_sampler",
    "random_ltd",
    "sparse_tensor_module_names",
    "csr_tensor_module_names",
    "skipped_steps",
    "global_steps",
    "global_samples",
    "dp_world_size",
    "mp_world_size",
    "ds_config",
    "ds_version",
    "checkpoint_parallel_dimensions",
)
"""What DeepSpeed writes beside what Lightning gave it."""
OPTIMIZER_PARTS = "*_optim_states.pt"
"""DeepSpeed's files that hold the weights in single precision, one a rank."""


def read_whole(path: Path) -> dict[str, Any]:
    """A checkpoint as one dictionary, with all its weights on the CPU, read as data alone.

    Of a folder, what has to do with the optimizer is left out. Weights that DeepSpeed trained come
    in single precision.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, incomplete, or holds more than data; names it.
    """
    if not path.is_dir():
        return SafeCheckpointIO().load_checkpoint(path)
    verify(path)
    return from_shards(path) if (path / INDEX).is_file() else from_deepspeed(path)


# A folder of shards


def from_shards(folder: Path) -> dict[str, Any]:
    """The dictionary of a folder of torch.distributed.checkpoint, shards joined.

    Raises:
        ValueError: A shard is damaged.
    """
    import torch.distributed.checkpoint as dcp

    index = read_index(folder / INDEX)
    refuse_damaged_shards(folder, index)
    try:
        checkpoint = torch.load(folder / REST, map_location="cpu", weights_only=True)
        places = [*checkpoint.pop(PLACES, []), *weights_in(index)]
        held = {".".join(place): index.state_dict_metadata[".".join(place)] for place in places}
        tensors = {n: torch.empty(one.size, dtype=one.properties.dtype) for n, one in held.items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            dcp.load(tensors, checkpoint_id=folder, no_dist=True)
    except (Exception, dcp.CheckpointException) as error:  # torch wraps what a shard raises
        raise ValueError(f"{folder} {unreadable(folder / REST, error)}") from error
    for place in places:
        put(checkpoint, place, tensors[".".join(place)])
    return checkpoint


def weights_in(index: Any) -> list[tuple[str, str]]:
    """Places of the weights in the dictionary of a checkpoint, as an index names them."""
    found = (name for name in index.state_dict_metadata if name.startswith(WEIGHTS))
    return [(WEIGHTS.rstrip("."), name.removeprefix(WEIGHTS)) for name in found]


def refuse_damaged_shards(folder: Path, index: Any) -> None:
    """Compare what shards hold of the weights with the checksums that torch wrote with it.

    Raises:
        ValueError: Names the shard and a weight.
    """
    for item, place in index.storage_data.items():
        if not item.fqn.startswith(WEIGHTS):
            continue
        shard = folder / place.relative_path
        with shard.open("rb") as file:
            file.seek(place.offset)
            if is_broken(io.BytesIO(file.read(place.length))):
                name = item.fqn.removeprefix(WEIGHTS)
                raise ValueError(f"{shard} was damaged: the checksum of {name} is wrong")


def is_broken(file: Any) -> bool:
    """Whether what torch saved is not what was written, by its own checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError):
        return True


# A folder of DeepSpeed


def from_deepspeed(folder: Path) -> dict[str, Any]:
    """The dictionary of a folder of DeepSpeed's ZeRO, its partitions joined by its own converter.

    Frozen weights come from their source, as everywhere.

    Raises:
        ValueError: A part is missing or damaged.
    """
    parts = parts_of(folder)
    for file in parts:
        if is_broken(file):
            raise ValueError(f"{file} was damaged: its checksums are wrong")
    from deepspeed.utils import zero_to_fp32

    try:
        with open(os.devnull, "w") as away, redirect_stdout(away), redirect_stderr(away):
            weights = zero_to_fp32.get_fp32_state_dict_from_zero_checkpoint(
                str(folder), exclude_frozen_parameters=True
            )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{folder}: DeepSpeed could not join its parts: {reason}") from error
    state = {name.removeprefix("_forward_module."): value for name, value in weights.items()}
    return {**said_by_lightning(parts), "state_dict": state}


def parts_of(folder: Path) -> list[Path]:
    """The files of the newest save in a folder of DeepSpeed.

    Raises:
        ValueError: There is none, or no partition of an optimizer.
    """
    latest = folder / "latest"
    if not latest.is_file():
        raise ValueError(f"{folder} lacks the file latest, which names DeepSpeed's save")
    tag = Path(latest.read_text().strip()).name
    parts = sorted((folder / tag).glob("*.pt"))
    if not any(part.match(OPTIMIZER_PARTS) for part in parts):
        raise ValueError(f"{folder / tag} lacks {OPTIMIZER_PARTS}: it was not written whole")
    return parts


def said_by_lightning(parts: Iterable[Path]) -> dict[str, Any]:
    """What Lightning gave DeepSpeed to keep; the first rank's.

    Raises:
        ValueError: No file holds it.
    """
    for part in parts:
        if part.match(OPTIMIZER_PARTS):
            continue
        # `verify` has seen that it names DeepSpeed's own types at most
        held = torch.load(part, map_location="cpu", weights_only=False)
        return {name: value for name, value in held.items() if name not in DEEPSPEEDS_OWN}
    raise ValueError("DeepSpeed's save lacks *_model_states.pt: it was not written whole")
