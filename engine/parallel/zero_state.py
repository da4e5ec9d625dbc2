"""What ZeRO holds in parts, gathered into whole tensors and shared out again.

The form is that of one process: weights by name, and an optimizer's state by the number of the
parameter. So any strategy continues from it, on any number of ranks.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

Groups = list[list[nn.Parameter]]
"""Parameters in the groups of an optimizer, before they were flattened."""


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Within it, buffers may be cast; at the end they are in the dtype they were made in.

    DeepSpeed casts them with the weights, and then positions and frequencies are rounded.
    """
    kept = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    yield
    for name, buffer in module.named_buffers():
        if name in kept and buffer.dtype != kept[name].dtype:
            owner, _, last = name.rpartition(".")
            value = kept[name].to(buffer.device)
            module.get_submodule(owner)._buffers[last] = value


# Weights


def shape_of(parameter: Tensor) -> tuple[int, ...]:
    """Shape of a parameter, also where this rank holds a part of it."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def owned(module: nn.Module) -> dict[str, nn.Parameter]:
    """Trained parameters under each of their names."""
    named = module.named_parameters(remove_duplicate=False)
    return {name: p for name, p in named if p.requires_grad}


def gathered_weights(module: nn.Module) -> dict[str, Any]:
    """The state of a module, trained weights whole and in single precision.

    Every rank must call; only the first keeps them, on the CPU.
    """
    held, is_first = module.state_dict(), dist.get_rank() == 0
    state: dict[str, Any] = {name: value.cpu() for name, value in held.items()}
    whole: dict[int, Tensor] = {}
    for name, parameter in owned(module).items():
        if id(parameter) not in whole:
            value = full_weight(parameter)
            whole[id(parameter)] = value.cpu() if is_first else value.new_empty(0)
        state[name] = whole[id(parameter)]
    return state if is_first else {}


def full_weight(parameter: nn.Parameter) -> Tensor:
    """A whole parameter, from the copy in single precision that is trained; collective."""
    from deepspeed.utils import safe_get_full_fp32_param

    value = safe_get_full_fp32_param(parameter)
    if value is None:
        raise RuntimeError("a trained parameter is unknown to DeepSpeed")
    return value.detach().reshape(shape_of(parameter)).clone()


def refuse_other_weights(weights: Mapping[str, Tensor], module: nn.Module) -> None:
    """Refuse the weights of another model.

    Raises:
        ValueError: A trained parameter or a buffer is missing, unknown or of another shape.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    wanted |= {name: shape_of(p) for name, p in owned(module).items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    other = [
        f"{n} {found[n]}, here {wanted[n]}" for n in wanted if found.get(n) not in (None, wanted[n])
    ]
    kinds = (
        ("missing", [name for name in wanted if name not in found]),
        ("unknown", [name for name in found if name not in wanted]),
        ("other shape", other),
    )
    reasons = [f"{len(names)} {kind}: {names[0]}" for kind, names in kinds if names]
    if reasons:
        raise ValueError(f"the checkpoint is that of another model: {'; '.join(reasons)}")


@torch.no_grad()
def scatter_weights(weights: Mapping[str, Tensor], module: nn.Module) -> None:
    """Give every rank its part of whole weights, and the buffers; every rank must call."""
    from deepspeed.runtime.zero.partition_parameters import GatheredParameters

    parameters = owned(module)
    for name, parameter in parameters.items():
        value = weights[name].to(parameter.device, torch.float32)
        with GatheredParameters([parameter], modifier_rank=0):
            parameter.data.copy_(value)
        if has_optimizer(parameter):
            set_trained(parameter, value)
    for name, buffer in module.named_buffers():
        if name in weights:
            buffer.copy_(weights[name])


def set_trained(parameter: nn.Parameter, value: Tensor, key: str | None = None) -> None:
    """Set this rank's part of the copy that is trained, or of what its optimizer remembers.

    Args:
        parameter: In parts.
        value: The whole tensor.
        key: Of the optimizer's state; the weights themselves where None.
    """
    from deepspeed import utils

    if not hasattr(parameter, "ds_tensor"):
        given = (utils.safe_set_full_fp32_param, utils.safe_set_full_optimizer_state)
    else:  # DeepSpeed's own way to cut one knows nothing of the last rank's padding
        value = own_part(value, parameter.ds_tensor.numel())
        given = (utils.safe_set_local_fp32_param, utils.safe_set_local_optimizer_state)
    if key is None:
        given[0](parameter, value)
    else:
        given[1](parameter, value, key)


def own_part(value: Tensor, size: int) -> Tensor:
    """The part of this rank, [size], of a flat tensor that ends in padding."""
    start = dist.get_rank() * size
    part = value.reshape(-1)[start : start + size]
    return nn.functional.pad(part, (0, size - len(part)))


def has_optimizer(parameter: nn.Parameter) -> bool:
    """Whether a copy of a parameter in single precision is trained."""
    return hasattr(parameter, "_z3_optimizer") or hasattr(parameter, "_hp_mapping")


# Optimizers


def inner(optimizer: Any) -> Optimizer:
    """Torch's optimizer within DeepSpeed's."""
    wrapped = getattr(optimizer, "_optimizer", optimizer)  # Lightning's
    return getattr(wrapped, "optimizer", wrapped)


def flat_parts(optimizer: Any) -> list[Tensor]:
    """The flat tensors of which torch's optimizer steps."""
    held = getattr(optimizer, "fp32_partitioned_groups_flat", None)  # stage 3
    return list(held if held is not None else optimizer.single_partition_of_fp32_groups)


def gathered_optimizer(optimizer: Any, groups: Groups) -> dict[str, Any]:
    """The state of an optimizer as a single process would save it.

    Every rank must call; only the first gets anything.
    """
    from deepspeed.utils import safe_get_full_optimizer_state

    zero = getattr(optimizer, "_optimizer", optimizer)
    held, is_first = inner(zero).state, dist.get_rank() == 0
    link(zero)
    part = next((p for p in flat_parts(zero) if held.get(p)), None)
    entry = {} if part is None else held[part]
    single = {key: value for key, value in entry.items() if not is_per_weight(value, part)}
    state: dict[int, dict[str, Any]] = {}
    for index, parameter in enumerate(p for group in groups for p in group):
        if not entry:
            continue
        state[index] = {key: copied(value) for key, value in single.items()}
        for key in (key for key in entry if key not in single):  # the same order on all ranks
            value = safe_get_full_optimizer_state(parameter, key)
            if is_first:
                state[index][key] = value.detach().reshape(shape_of(parameter)).cpu().clone()
    return {"state": state, "param_groups": described(inner(zero), groups)} if is_first else {}


def is_per_weight(value: Any, part: Tensor | None) -> bool:
    """Whether an optimizer remembers a value for each weight."""
    return part is not None and isinstance(value, Tensor) and value.shape == part.shape


def copied(value: Any) -> Any:
    """A value that later steps do not change."""
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


def described(optimizer: Optimizer, groups: Groups) -> list[dict[str, Any]]:
    """The options of each group, and the numbers of its parameters."""
    told, first = [], 0
    for options, members in zip(optimizer.param_groups, groups, strict=True):
        numbers = list(range(first, first + len(members)))
        told.append({k: v for k, v in options.items() if k != "params"} | {"params": numbers})
        first += len(members)
    return told


@torch.no_grad()
def scatter_optimizer(optimizer: Any, groups: Groups, saved: Mapping[str, Any]) -> None:
    """Give every rank its part of an optimizer's state; every rank must call.

    Raises:
        ValueError: It is the state of other parameters.
    """
    zero = getattr(optimizer, "_optimizer", optimizer)
    theirs = [len(group["params"]) for group in saved["param_groups"]]
    if theirs != [len(group) for group in groups]:
        raise ValueError(
            f"the checkpoint's optimizer has groups of {theirs} parameters, this one has "
            f"{[len(group) for group in groups]}"
        )
    for options, read in zip(inner(zero).param_groups, saved["param_groups"], strict=True):
        options.update({key: value for key, value in read.items() if key != "params"})
    if not saved["state"]:
        return
    parameters = [p for group in groups for p in group]
    prepare(zero, next(iter(saved["state"].values())), parameters[next(iter(saved["state"]))])
    for index, entry in saved["state"].items():
        for key, value in entry.items():
            if isinstance(value, Tensor) and tuple(value.shape) == shape_of(parameters[index]):
                value = value.to(parameters[index].device, torch.float32)
                set_trained(parameters[index], value, key)


def prepare(zero: Any, entry: Mapping[str, Any], parameter: nn.Parameter) -> None:
    """Make room for an optimizer's state, which torch makes in the first step only."""
    for part in flat_parts(zero):
        inner(zero).state[part] = {
            key: torch.zeros_like(part)
            if isinstance(value, Tensor) and tuple(value.shape) == shape_of(parameter)
            else copied(value)
            for key, value in entry.items()
        }
    link(zero)


def link(zero: Any) -> None:
    """Tell parameters where their part of the optimizer's state is.

    DeepSpeed does so in the first step, after that of the first group alone.
    """
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):  # stages 1 and 2
        zero._hp_optimizer_states_linked = False
        zero._lazy_init_hp_params_optimizer_state()
