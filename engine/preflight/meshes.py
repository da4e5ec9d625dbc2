"""Arrangements of ranks that cannot work: sizes, heads and rows that do not divide."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace

from engine.config.invocation import Invocation
from engine.parallel.context.rows import uneven
from engine.parallel.context.strategy import ContextParallel, undivided
from engine.parallel.fsdp2 import FSDP2
from engine.parallel.same_rows import SameRows
from engine.parallel.tensor.strategy import TensorParallel
from engine.preflight.impossible import is_count

COUNTS = ("num_attention_heads", "num_key_value_heads", "intermediate_size")
"""Options of transformers that tensor parallelism divides."""
FITTING = ("fit", "validate", "test")
"""Commands whose results are the same where ranks share rows."""


def strategy_of(run: Invocation) -> FSDP2 | None:
    """The strategy of a config, where it is one of a mesh of ours."""
    chosen = run.config.get("trainer.strategy")
    if not isinstance(chosen, Namespace) or not run.strategy.startswith("engine.parallel."):
        return None
    module, _, name = run.strategy.rpartition(".")
    kind = getattr(import_module(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, FSDP2)):
        return None
    options = chosen.get("init_args") or Namespace()
    return kind(**options.as_dict())


def ranks_of(run: Invocation) -> tuple[int, int]:
    """All ranks of a run, and those of one machine."""
    devices, nodes = run.trainer("devices", "auto"), int(run.trainer("num_nodes", 1) or 1)
    if "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    local = num_listed(devices)
    if local is None:
        local = torch.cuda.device_count() if run.device == "cuda" else 1
    return local * nodes, local


def num_listed(devices: Any) -> int | None:
    """How many devices of a machine an option names; None where it takes all."""
    if isinstance(devices, list):
        return len(devices)
    given = str(devices).strip()
    if not re.fullmatch(r"\d+(,\s*\d+)*,?", given):
        return None
    return len([one for one in given.split(",") if one]) if "," in given else int(given)


def sizes_of(run: Invocation) -> dict[str, int]:
    """Names and sizes of the axes; none without a mesh.

    Raises:
        ValueError: The sizes do not multiply to the number of ranks.
    """
    strategy = strategy_of(run)
    return {} if strategy is None else strategy.axes(*ranks_of(run))


def uneven_mesh(run: Invocation) -> str | None:
    """Axes whose sizes do not multiply to the number of ranks."""
    try:
        sizes_of(run)
    except ValueError as error:
        return f"trainer.strategy: {error}"
    return None


def shared_rows(run: Invocation) -> str | None:
    """Commands that write what each rank makes of its rows, where ranks share them."""
    if run.command in FITTING or not isinstance(strategy_of(run), SameRows):
        return None
    return (
        f"{run.command} writes what each rank makes of its rows, and under {run.strategy} ranks "
        "share theirs; take configs/strategy/fsdp2.yaml"
    )


def divided_heads(run: Invocation) -> str | None:
    """Tensor parallelism over ranks that do not divide heads or features."""
    if not isinstance(strategy_of(run), TensorParallel):
        return None
    size = sizes_of(run)["tensor_parallel"]
    for key, name, count in counts(run):
        if count % size:
            return (
                f"{key}: {name} is {count}, which tensor_parallel_size, {size}, does not divide; "
                "take fewer ranks for a layer, or configs/strategy/fsdp2.yaml"
            )
    return None


def counts(run: Invocation) -> Iterator[tuple[str, str, int]]:
    """Heads and features of the network of a config, from its options or its source."""
    for origin in run.model:
        key = f"model.{origin.key}"
        name = key.rpartition(".")[2]
        if ".network." not in key:
            continue
        if name in COUNTS and is_count(origin.value):
            yield key.rpartition(".")[0], name, origin.value
        elif name == "source" and isinstance(origin.value, str):
            known = read_options(Path(origin.value))
            yield from ((key, one, known[one]) for one in COUNTS if is_count(known.get(one)))


def read_options(folder: Path) -> dict[str, Any]:
    """The options of a pretrained model in a local folder; none where they cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads((folder.expanduser() / "config.json").read_text())
        return found if isinstance(found, dict) else {}
    return {}


def divided_rows(run: Invocation) -> str | None:
    """Context parallelism over other networks than causal ones, or over uneven rows."""
    if not isinstance(strategy_of(run), ContextParallel):
        return None
    network = run.config.get("model.init_args.network")
    if isinstance(network, Namespace) and network.get("class_path"):
        module, _, name = str(network.class_path).rpartition(".")
        kind = getattr(import_module(module), name)
        attention = (network.get("init_args") or Namespace()).get("attention") or "documents"
        reason = undivided(kind, str(attention))
        if reason:
            return f"trainer.strategy: {reason}"
    length, size = run.config.get("data.init_args.row_length"), sizes_of(run)["context_parallel"]
    if is_count(length) and length % (2 * size):
        return f"data.init_args.row_length: {uneven(length, size)}"
    return None
