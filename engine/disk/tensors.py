"""Named tensors on disk: safetensors files of a bounded size, and an index of several."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NAME = "state"
"""First part of the files' names."""
SHARD_SIZE = "5GB"
"""Largest file of weights, where nothing else is asked for."""
SIZE = re.compile(r"[1-9]\d*(\.\d+)?\s?[KMGT]B", re.IGNORECASE)


def check_size(max_shard_size: str) -> None:
    """Refuse what is no size of a file.

    Raises:
        ValueError: It is none.
    """
    if not SIZE.fullmatch(max_shard_size):
        raise ValueError(f"max_shard_size is a size such as 5GB or 200MB, got {max_shard_size}")


def write_tensors(
    tensors: "Mapping[str, Tensor]", folder: Path, max_shard_size: str = SHARD_SIZE
) -> None:
    """Write tensors as `state.safetensors`, or as several such files and their index.

    Args:
        tensors: By name; those that share memory are written each for itself.
        folder: Where to write.
        max_shard_size: Largest file, such as `5GB`; a larger tensor has a file of its own.
    """
    from huggingface_hub import save_torch_state_dict

    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.detach().clone() if place in seen else tensor.detach()
        seen.add(place)
    pattern = f"{NAME}{{suffix}}.safetensors"
    save_torch_state_dict(apart, folder, filename_pattern=pattern, max_shard_size=max_shard_size)


def read_tensors(folder: Path) -> "dict[str, Tensor]":
    """The tensors of a folder, on the CPU; none where it holds none.

    Raises:
        ValueError: A file is missing or damaged; names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    for name in files_of(folder):
        try:
            found |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{folder / name} cannot be read: {error}") from error
    return found


def files_of(folder: Path) -> list[str]:
    """Names of the files that hold a folder's tensors.

    Raises:
        ValueError: The index is damaged.
    """
    index, single = folder / f"{NAME}.safetensors.index.json", f"{NAME}.safetensors"
    if not index.is_file():
        return [single] if (folder / single).is_file() else []
    try:
        held = json.loads(index.read_text())["weight_map"]
        return sorted({Path(str(name)).name for name in held.values()})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of tensors") from error
