import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engine.measure.flops import FlopCounter


def step(network, x):
    network(x).square().sum().backward()


def test_a_product_and_its_gradients_are_counted():
    network, x = nn.Linear(5, 7, bias=False), torch.randn(3, 5, requires_grad=True)
    with FlopCounter() as counter:
        step(network, x)
    assert counter.total == 3 * (2 * 3 * 5 * 7)  # forward, input gradient, weight gradient


def test_the_count_is_that_of_torch():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    x = torch.randn(2, 6, 16, requires_grad=True)
    with FlopCounter() as ours:
        step(layer, x)
    with FlopCounterMode(display=False) as theirs:
        step(layer, x)
    assert ours.total == theirs.get_total_flops() > 0


def test_counting_changes_no_bit():
    results = []
    for counted in (False, True):
        torch.manual_seed(0)
        network, x = nn.Linear(33, 65), torch.randn(17, 33)
        optimizer = torch.optim.AdamW(network.parameters())
        for _ in range(3):
            if counted:
                with FlopCounter():
                    step(network, x)
                    optimizer.step()
            else:
                step(network, x)
                optimizer.step()
        results.append(network.weight.detach())
    assert torch.equal(*results)
