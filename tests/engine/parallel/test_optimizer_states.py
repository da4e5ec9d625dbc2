import torch
from torch import nn

from engine.parallel.optimizer_states import named, names_of, numbered


def trained():
    """A module whose optimizer has its parameters in another order, after a step."""
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vectors = [p for p in module.parameters() if p.ndim == 1]
    matrices = [p for p in module.parameters() if p.ndim == 2]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}])
    module(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    return module, optimizer


def test_a_gathered_state_is_numbered_as_one_process_does():
    module, optimizer = trained()
    names = names_of(module, optimizer)
    assert names == ["0.weight", "1.weight", "0.bias", "1.bias"]
    expected = optimizer.state_dict()
    by_name = {"state": {name: expected["state"][n] for n, name in enumerate(names)}}
    assert numbered(by_name, module, optimizer) == expected
    assert numbered({}, module, optimizer) == {}


def test_numbers_are_those_of_the_optimizer_and_in_older_files_of_the_module():
    module, optimizer = trained()
    state = optimizer.state_dict()
    by_name = named(state, module, optimizer)
    assert by_name["param_groups"][1]["params"] == ["0.bias", "1.bias"]
    assert by_name["state"]["1.weight"] is state["state"][1]
    older = {
        "state": {0: "0.weight", 1: "0.bias", 2: "1.weight", 3: "1.bias"},
        "param_groups": [{"params": [0, 2]}, {"params": [1, 3]}],
    }
    assert all(name == value for name, value in named(older, module, optimizer)["state"].items())
