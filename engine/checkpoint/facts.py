"""What a checkpoint says of itself, without its weights being read."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.manifest import UNREADABLE, refuse_missing, unreadable
from engine.checkpoint.sharded import refuse_damaged_folder, shapes_of


@dataclass(frozen=True)
class Facts:
    """A checkpoint's own words.

    Attributes:
        path: Where it is.
        step: Optimizer steps; None where it does not say.
        system: class_path of the system that wrote it; None where it does not say.
        network: Its `network`, class_path and init_args; None where it does not say.
        optimizer: Name of the optimizer's class; None where it does not say.
        has_average: Whether it holds averaged weights as well.
        shapes: Shape of every weight; None where it does not say.
    """

    path: Path
    step: int | None
    system: str | None = None
    network: Any = None
    optimizer: str | None = None
    has_average: bool = False
    shapes: dict[str, tuple[int, ...]] | None = None


def facts(path: Path) -> Facts:
    """Read what a checkpoint says of itself; of DeepSpeed's folders, nothing.

    Raises:
        FileNotFoundError: There is none, or a link leads nowhere.
        ValueError: It is no checkpoint of Lightning.
    """
    refuse_missing(path)
    if not path.is_dir():
        return said_in(path, path)
    refuse_damaged_folder(path)
    file = path / "meta.pt"
    if not file.is_file():
        return Facts(path, None)
    return replace(said_in(path, file), shapes=shapes_of(path))


def said_in(path: Path, file: Path) -> Facts:
    """What one file says: a checkpoint, or the part of a folder of shards that is no tensor.

    Raises:
        ValueError: It is no checkpoint of Lightning.
    """
    try:
        held = torch.load(file, mmap=True, map_location="cpu", weights_only=True)
        if "state_dict" not in held and file == path:
            raise ValueError("there is no state_dict in it")
        state, said = held.get("state_dict", {}), held.get("hyper_parameters") or {}
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        step = held.get("global_step")
    except (RuntimeError, AttributeError, *UNREADABLE) as error:
        raise ValueError(f"{path} {unreadable(file, error)}") from error
    optimizer, average = class_name(said.get("optimizer")), bool(held.get("ema"))
    system, network = said.get("_class_path"), said.get("network")
    return Facts(path, step, system, network, optimizer, average, shapes)


def class_name(given: Any) -> str | None:
    """Name of the class that a config gives, in whichever form; None where it gives none."""
    path = given.get("class_path") if hasattr(given, "get") else given
    if isinstance(path, type):
        return path.__name__
    return path.rpartition(".")[2] if isinstance(path, str) else None
