"""Checkpoints that are folders of shards: whole, and read as data alone."""

import io
import pickle
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import torch

INDEX = ".metadata"
"""torch's pickle of what lies in which shard."""
REST = "meta.pt"
"""What a checkpoint holds that is not in shards."""
PLACES = "sharded"
"""Its entry for tensors that are in shards beside weights and optimizers: paths of keys."""
WEIGHTS = "state_dict."
"""Prefix of the names of a model's weights in it."""
PATHS = ("Posix", "PurePosix", "Windows", "PureWindows")
DATA_ALONE = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("collections", "OrderedDict"),
    *((module, f"{kind}Path") for module in ("pathlib", "pathlib._local") for kind in PATHS),
}
"""What such an index names apart from the classes that describe tensors."""
DEEPSPEED = {
    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
    "deepspeed.utils.tensor_fragment.fragment_address",
}
"""What DeepSpeed's own files name apart from tensors."""


class IndexReader(pickle.Unpickler):
    """Reads the index of a folder of shards and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        """The classes that describe tensors, and torch's dtypes.

        Raises:
            ValueError: Anything else.
        """
        found = None
        if (module, name) in DATA_ALONE or module == "torch.distributed.checkpoint.metadata":
            found = super().find_class(module, name)
        elif module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            found = getattr(torch, name)
        describes = isinstance(found, type) and (
            issubclass(found, Enum) or found.__module__ == module or found is torch.Size
        )
        if (module, name) in DATA_ALONE or isinstance(found, torch.dtype) or describes:
            return found
        raise ValueError(f"it names {module}.{name}, which is no data")


def refuse_damaged_folder(folder: Path) -> None:
    """Refuse a folder that is no checkpoint, lacks shards, or holds more than data.

    Raises:
        ValueError: Names the folder and what is wrong.
    """
    refuse_code(folder)
    index = folder / INDEX
    if not index.is_file():
        if any(file.name != REST for file in folder.rglob("*.pt")):
            return  # DeepSpeed's own form
        raise ValueError(f"{folder} is a folder without a checkpoint: it has no {INDEX}")
    stored = stored_in(folder)
    wanted = files_of(folder)
    missing = sorted(name for name in wanted if not (folder / name).is_file())
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}: it was not written whole")
    for one in stored.values():
        size = (folder / one.relative_path).stat().st_size
        if size < one.offset + one.length:
            raise ValueError(f"{folder / one.relative_path} has {size} bytes: it was cut off")


def stored_in(folder: Path) -> dict[Any, Any]:
    """Where each tensor of a folder of shards lies, as its index says."""
    return getattr(read_index(folder / INDEX), "storage_data", None) or {}


def files_of(folder: Path) -> set[str]:
    """Names of the files that a folder of shards needs."""
    return {INDEX, REST, *(str(one.relative_path) for one in stored_in(folder).values())}


def refuse_code(folder: Path) -> None:
    """Refuse a folder whose files name anything to be run.

    Raises:
        ValueError: Names the file and what it would run.
    """
    if (folder / INDEX).is_file():
        read_index(folder / INDEX)
    for file in sorted(folder.rglob("*.pt")):
        try:
            named = torch.serialization.get_unsafe_globals_in_checkpoint(str(file))
        except Exception as error:
            raise ValueError(f"{file} cannot be read: {error}") from error
        others = sorted(set(named) - DEEPSPEED)
        if others:
            raise ValueError(f"{file} holds more than data ({', '.join(others)}) and is not read")


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every weight in a folder of shards, as its index says."""
    held = getattr(read_index(folder / INDEX), "state_dict_metadata", None) or {}
    weights = {name: one for name, one in held.items() if name.startswith(WEIGHTS)}
    return {
        name.removeprefix(WEIGHTS): tuple(one.size)
        for name, one in weights.items()
        if hasattr(one, "size")
    }


def read_index(index: Path) -> Any:
    """The index of a folder of shards.

    Raises:
        ValueError: It names something that is no data, or is damaged.
    """
    try:
        return IndexReader(io.BytesIO(index.read_bytes())).load()
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{index} is no index of shards: {error}") from error


def put(tree: dict[str, Any], place: Sequence[str], value: Any) -> None:
    """Put a value into nested dictionaries, at a path of keys."""
    for key in place[:-1]:
        tree = tree.setdefault(key, {})
    tree[place[-1]] = value
