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


def test_trained_parameters_may_move():
    guard, module = FrozenGuard(), network()
    guard.on_fit_start(None, module)
    with torch.no_grad():
        module[1].weight.add_(1)
    guard.on_fit_end(None, module)
