"""Reads folders of shards into networks and optimizers that are divided in another way."""

import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import DefaultLoadPlanner
from torch.distributed.checkpoint.planner import ReadItem
from torch.optim import Optimizer
from typing_extensions import override

from engine.checkpoint.sharded import INDEX, PLACES, REST, put, read_index, shapes_of
from engine.parallel.shards.agreed import cause_of

Read = Callable[[dict[str, Any]], None]
"""Fills the tensors of a state from a folder."""


class DataPlanner(DefaultLoadPlanner):
    """Reads what is no tensor as data alone; torch's own would run what a pickle names."""

    @override
    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        plain = torch.load(value, weights_only=True)
        buffer = io.BytesIO()
        torch.save(plain, buffer)  # by now it is data
        buffer.seek(0)
        super().load_bytes(read_item, buffer)


def read_folder(
    folder: Path, module: nn.Module, optimizers: Iterable[Optimizer], group: Any
) -> dict[str, Any]:
    """Load weights and states of optimizers, each rank its part; every rank must call.

    Args:
        folder: Verified before.
        module: With weights that are divided in any way.
        optimizers: Of these weights.
        group: All ranks, on the CPU.

    Returns:
        Everything else that the checkpoint holds.

    Raises:
        ValueError: It is the checkpoint of another model, or holds more than data.
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    weights: dict[str, Any] = get_model_state_dict(module)
    refuse_other(folder, weights)
    read = partial(fill, folder, group)
    read({"state_dict": weights})
    module.load_state_dict(weights, strict=False)
    index = read_index(folder / INDEX)
    for number, optimizer in enumerate(optimizers):
        load_optimizer(read, index, f"optimizer_{number}", module, optimizer)
    rest: dict[str, Any] = torch.load(folder / REST, map_location="cpu", weights_only=True)
    add_shards(rest, rest.pop(PLACES, []), read, index, module)
    return rest


def fill(folder: Path, group: Any, state: dict[str, Any]) -> None:
    """Read the values of tensors, whatever each rank holds of them; every rank must call.

    Raises:
        ValueError: It lacks something, or holds more than data.
    """
    import torch.distributed.checkpoint as dcp

    reader = dcp.FileSystemReader(folder)
    try:
        dcp.load(state, storage_reader=reader, planner=DataPlanner(), process_group=group)
    except dcp.CheckpointException as error:
        raise ValueError(f"{folder} cannot be read: {cause_of(error)}") from error


def refuse_other(folder: Path, wanted: Mapping[str, Tensor]) -> None:
    """Refuse the checkpoint of another model.

    Raises:
        ValueError: Names a weight that is missing, unknown or of another shape.
    """
    found = shapes_of(folder)
    other = [
        f"{name} {found[name]}, here {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name] != tuple(value.shape)
    ]
    missing, unknown = ([*a.keys() - b.keys()] for a, b in ((wanted, found), (found, wanted)))
    kinds = (("missing", missing), ("unknown", unknown), ("other shape", other))
    reasons = [f"{len(names)} {kind}: {sorted(names)[0]}" for kind, names in kinds if names]
    if reasons:
        raise ValueError(f"{folder} is the checkpoint of another model: {'; '.join(reasons)}")


def load_optimizer(
    read: Read, index: Any, key: str, module: nn.Module, optimizer: Optimizer
) -> None:
    """Give an optimizer its part of a state; parameters that have none keep none."""
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    held = {name for name in index.state_dict_metadata if name.startswith(f"{key}.")}
    if not held:
        return
    empty: dict[str, Any] = get_optimizer_state_dict(module, optimizer)
    moments = empty["state"]
    stepped = {n: m for n, m in moments.items() if f"{key}.state.{n}.{next(iter(m))}" in held}
    state = {key: {**empty, "state": stepped}}
    read(state)
    found = {**state[key], "state": {**moments, **state[key]["state"]}}
    set_optimizer_state_dict(module, optimizer, optim_state_dict=found)
    parameters = dict(module.named_parameters())
    for name in moments.keys() - stepped.keys():
        optimizer.state.pop(parameters[name], None)


def add_shards(
    rest: dict[str, Any], places: list[tuple[str, ...]], read: Read, index: Any, module: nn.Module
) -> None:
    """Read sharded tensors to their places, divided as the parameters of their names are."""
    parameters = dict(module.named_parameters())
    shards: dict[str, Any] = {}
    for place in places:
        size = index.state_dict_metadata[".".join(place)]
        empty = empty_like(parameters.get(place[-1]), tuple(size.size), size.properties.dtype)
        put(rest, place, empty)
        put(shards, place, empty)
    if shards:
        read(shards)


def empty_like(parameter: Any, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor, divided as a parameter of its size is; whole where there is none."""
    if parameter is None or tuple(parameter.shape) != size:
        return torch.empty(size, dtype=dtype)
    return torch.empty_like(parameter.detach(), dtype=dtype)
