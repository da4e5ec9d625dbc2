import pytest
import torch

from callbacks.frozen import FrozenGuard


def network():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    layers[0].requires_grad_(False)
    return layers


def test_a_frozen_parameter_that_moved_fails_the_run_by_name():
    guard, module = FrozenGuard(), network()
    guard.on_fit_start(None, module)
    with torch.no_grad():
        module[0].bias.add_(1e-6)
    with pytest.raises(RuntimeError, match=r"frozen parameters changed.*0\.bias"):
        guard.on_fit_end(None, module)


@pytest.mark.parametrize("change", ["an ulp", "rows", "two entries", "signs"])
def test_a_change_that_keeps_sums_is_found_as_well(change):
    guard, module = FrozenGuard(), network()
    weight = module[0].weight.data
    weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))
    guard.on_fit_start(None, module)
    weight.copy_(
        {
            "an ulp": torch.nextafter(weight, weight + 1),
            "rows": weight.flip(0),
            "two entries": torch.tensor([[2.0, 1.0], [3.0, -4.0]]),
            "signs": torch.tensor([[-1.0, 2.0], [3.0, -2.0]]),
        }[change]
    )
    with pytest.raises(RuntimeError, match=r"0\.weight"):
        guard.on_fit_end(None, module)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.bool])
def test_weights_of_any_type_are_hashed(dtype):
    module = torch.nn.ParameterDict(
        {
            "a": torch.nn.Parameter(torch.ones(3, 2, dtype=dtype).T, requires_grad=False),
            "scalar": torch.nn.Parameter(torch.tensor(1, dtype=dtype), requires_grad=False),
            "empty": torch.nn.Parameter(torch.ones(0, 2, dtype=dtype), requires_grad=False),
        }
    )
    guard = FrozenGuard()
    guard.on_fit_start(None, module)
    guard.on_fit_end(None, module)
    module["scalar"].data = torch.tensor(0, dtype=dtype)
    with pytest.raises(RuntimeError, match="scalar"):
        guard.on_fit_end(None, module)


def test_trained_parameters_may_move():
    guard, module = FrozenGuard(), network()
    guard.on_fit_start(None, module)
    with torch.no_grad():
        module[1].weight.add_(1)
    guard.on_fit_end(None, module)


def swapped_entries(weight):
    weight[0, 1], weight[3, 2] = weight[3, 2].clone(), weight[0, 1].clone()


CHANGES = {
    "rows in another order": lambda weight: weight.copy_(weight.flip(0)),
    "two entries swapped": swapped_entries,
    "one unit in the last place": lambda weight: weight[2, 2].copy_(
        torch.nextafter(weight[2, 2].float(), torch.tensor(9.0)).to(weight.dtype)
        if weight.dtype == torch.float32
        else weight[2, 2] * (1 + 2**-7)
    ),
    "a sign of zero": lambda weight: weight[0, 0].mul_(-1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_bit_counts_and_so_does_its_place(change, dtype):
    module = torch.nn.Linear(4, 4, dtype=dtype).requires_grad_(False)
    with torch.no_grad():
        module.weight[0, 0] = 0.0
    guard = FrozenGuard()
    guard.on_fit_start(None, module)
    guard.on_fit_end(None, module)
    with torch.no_grad():
        change(module.weight)
    with pytest.raises(RuntimeError, match=r"frozen parameters changed.*weight"):
        guard.on_fit_end(None, module)


def test_single_numbers_empty_shards_and_whole_numbers_are_watched():
    module = torch.nn.ParameterList(
        torch.nn.Parameter(value, requires_grad=False)
        for value in (torch.tensor(1.0), torch.empty(0, 3), torch.tensor([[1, 2]]))
    )
    guard = FrozenGuard()
    guard.on_fit_start(None, module)
    guard.on_fit_end(None, module)
    with torch.no_grad():
        module[2][0, 1] = 3
    with pytest.raises(RuntimeError, match="changed"):
        guard.on_fit_end(None, module)
