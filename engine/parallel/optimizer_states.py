"""States of optimizers in whole checkpoints: as one process writes and reads them.

One process numbers parameters in the order of the optimizer's groups; torch's sharded states go by
name. Lightning would number them in the order of the module, which no single process could read.
"""

from typing import Any

from torch import nn
from torch.optim import Optimizer

State = dict[str, Any]
"""What `Optimizer.state_dict` returns, or the same by names."""


def names_of(module: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of an optimizer's parameters, in its own order."""
    names = {id(p): name for name, p in module.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def numbered(state: State, module: nn.Module, optimizer: Optimizer) -> State:
    """The gathered state of an optimizer, its parameters numbered as one process does.

    Args:
        state: By names; empty on other ranks than the first.
        module: Holds the parameters.
        optimizer: Its groups give the order, and their options as they are.
    """
    if not state:
        return state
    names, groups, first = names_of(module, optimizer), [], 0
    for group in optimizer.param_groups:
        options = {key: value for key, value in group.items() if key != "params"}
        end = first + len(group["params"])
        groups.append({**options, "params": list(range(first, end))})
        first = end
    held = state["state"]
    by_number = {n: held[name] for n, name in enumerate(names) if name in held}
    return {"state": by_number, "param_groups": groups}


def named(state: State, module: nn.Module, optimizer: Optimizer) -> State:
    """The state of an optimizer from a whole checkpoint, its parameters by names.

    Args:
        state: By numbers; those of earlier versions follow the module's order.
        module: Holds the parameters.
        optimizer: Its groups give the order.
    """
    listed = [number for group in state["param_groups"] for number in group["params"]]
    names = names_of(module, optimizer)
    if listed != list(range(len(listed))):
        names = [name for name, _ in module.named_parameters()]
    groups = [
        {**group, "params": [names[number] for number in group["params"]]}
        for group in state["param_groups"]
    ]
    return {
        "state": {names[number]: value for number, value in state["state"].items()},
        "param_groups": groups,
    }


def load(state: State, module: nn.Module, optimizer: Optimizer) -> None:
    """Give an optimizer its shards of a whole state; every rank must call, with the whole."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

    options = StateDictOptions(broadcast_from_rank0=True, full_state_dict=True)
    by_name = named(state, module, optimizer)
    set_optimizer_state_dict(module, optimizer, optim_state_dict=by_name, options=options)


def gathered(module: nn.Module, optimizer: Optimizer) -> State:
    """The whole state of an optimizer by names, on the first rank; every rank must call."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_optimizer_state_dict(module, optimizer, options=options)
