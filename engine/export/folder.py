"""What an exported folder says of its system, and how this repository opens it again.

`system.json` names the class and its options, of which the network and the tokenizer are those of
the folder itself. It is data: only classes that a config may name are built, and no code is read.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jsonargparse import Namespace, set_parsing_settings
from torch import nn

from engine.config.parser import PlainParser
from engine.config.trust import importable, path_of, untrusted
from engine.disk.tensors import read_tensors
from engine.run.precision import cast

FILE = "system.json"
FORMAT = 1
"""Version of that file."""
HERE = "{folder}"
"""Stands for the exported folder in the options."""
OF_TRAINING = ("optimizer", "scheduler", "compile")
"""Options of which an exported system needs none."""
OF_CHECKPOINTS = ("optimizer_groups", "num_targets")
"""What a system writes into a checkpoint for a training alone."""


def write_system(
    model: L.LightningModule, folder: Path, only_trained: bool, step: int, dtype: torch.dtype
) -> bool:
    """Write what opens a folder again, where the system says how (`reopened`).

    Args:
        model: The system, built by a config.
        folder: What was exported.
        only_trained: Whether the folder holds trained weights alone.
        step: Optimizer steps.
        dtype: Of the weights.

    Returns:
        Whether there is such a file.
    """
    given = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    reopened = getattr(model, "reopened", None)
    if reopened is None or "_class_path" not in model.hparams:
        return False
    kind: Any = getattr(model, "opens_as", type(model))
    taken = set(inspect.signature(kind.__init__).parameters) - set(OF_TRAINING)
    options = {name: plain(value) for name, value in given.items() if name in taken}
    options |= reopened(HERE, only_trained)
    said: dict[str, Any] = {}
    model.on_save_checkpoint(said)
    kept = {name: value for name, value in said.items() if name not in OF_CHECKPOINTS}
    if not only_trained:
        kept.pop("frozen_source", None)  # the folder holds those weights itself
    held = {
        "format": FORMAT,
        "class_path": path_of(kind),
        "init_args": options,
        "only_trained": only_trained,
        "checkpoint": {**kept, "global_step": step},
        "dtype": str(dtype).removeprefix("torch."),
    }
    (folder / FILE).write_text(json.dumps(held, indent=2) + "\n")
    return True


def plain(value: Any) -> Any:
    """An option as a config has it."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def open_exported(folder: str | Path, base: str | None = None) -> L.LightningModule:
    """The system of an exported folder, its network built and loaded, in evaluation mode.

    Args:
        folder: What `python cli.py export` wrote.
        base: The model that trained weights stand on, where it is elsewhere on this machine.

    Raises:
        FileNotFoundError: There is no such folder, or its base is not there.
        ValueError: The folder is damaged, names what it may not, or stands on another base.
    """
    folder = Path(folder).expanduser()
    held = read_system(folder)
    options = placed(held["init_args"], str(folder.resolve()))
    if base is not None:
        set_base(options, base, held["only_trained"])
    model = built(held["class_path"], options)
    wanted: torch.dtype = getattr(torch, held["dtype"])
    with default_dtype(torch.float32 if wanted == torch.float16 else wanted):
        model.configure_model()
    model.loading = str(folder)  # type: ignore[assignment]  # for messages
    model.on_load_checkpoint(held["checkpoint"])
    load_tensors(model, folder)
    return cast(model, wanted).eval()  # type: ignore[return-value]


def read_system(folder: Path) -> dict[str, Any]:
    """What a folder says of its system.

    Raises:
        FileNotFoundError: It says nothing, or there is no such folder.
        ValueError: It cannot be read.
    """
    if not (folder / FILE).is_file():
        raise FileNotFoundError(
            f"{folder} has no {FILE}: write the folder by python cli.py export --folder {folder}"
        )
    try:
        held = json.loads((folder / FILE).read_text())
        kinds = {
            "class_path": str,
            "init_args": dict,
            "checkpoint": dict,
            "dtype": str,
            "only_trained": bool,
        }
        if not all(isinstance(held[name], kind) for name, kind in kinds.items()):
            raise TypeError
        is_known = held["format"] == FORMAT and held["dtype"] in ("float32", "bfloat16", "float16")
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{folder / FILE} describes no exported system") from error
    if not is_known:
        raise ValueError(f"{folder / FILE} is of another version than {FORMAT}")
    return dict(held)


def placed(options: Any, folder: str) -> Any:
    """Options with the folder's own path where it is meant."""
    if isinstance(options, dict):
        return {name: placed(value, folder) for name, value in options.items()}
    if isinstance(options, list):
        return [placed(value, folder) for value in options]
    return options.replace(HERE, folder) if isinstance(options, str) else options


def set_base(options: dict[str, Any], base: str, only_trained: bool) -> None:
    """Say where the model lies that trained weights stand on.

    Raises:
        ValueError: They stand on none, or the folder holds it itself.
    """
    network = options.get("network", {}).get("init_args", {})
    if not only_trained or "source" not in network:
        raise ValueError("base: the folder stands on no other model; it holds all weights itself")
    network["source"] = base


def built(class_path: str, options: dict[str, Any]) -> L.LightningModule:
    """A system from its options, as a config would build it.

    Raises:
        ValueError: They name something that a config may not.
    """
    given = {"class_path": class_path, "init_args": options}
    found = untrusted(given)
    if found:
        raise ValueError(f"the exported system names {found[0]}, {found[1]}")
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=importable())
    parser = PlainParser(exit_on_error=False)
    parser.add_subclass_arguments(L.LightningModule, "model", required=True)
    model: L.LightningModule = parser.instantiate_classes(
        parser.parse_object({"model": given})
    ).model
    return model


def load_tensors(model: L.LightningModule, folder: Path) -> None:
    """Load what a folder holds beside the models that the network has read already.

    Raises:
        ValueError: A trained weight is missing, unknown or of another shape.
    """
    state = read_tensors(folder)
    load_own = getattr(model, "load_exported", None)
    loaded = set(state) | set(load_own(folder) if load_own is not None else ())
    missing = [name for name in getattr(model, "untrained", ()) if name not in loaded]
    unknown = [name for name in state if name not in model.state_dict()]
    for what, names in (("lacks", missing), ("holds unknown", unknown)):
        if names:
            raise ValueError(f"{folder} {what} {names[0]}{' and others' if names[1:] else ''}")
    try:
        nn.Module.load_state_dict(model, state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{folder} holds the weights of another network: {error}") from error


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Within it, torch makes weights in a dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
