from copy import deepcopy

import pytest
import torch
from torch import nn

from engine.optim.muon import MuonAdamW, orthogonal

SHAPES = [(4, 7), (7, 4), (5, 5), (5, 5)]


def parameters():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in [*SHAPES, (6,), ()]]


def groups(wanted):
    """Matrices, marked, and all else."""
    hidden = {"params": [p for p in wanted if p.ndim == 2], "is_hidden": True}
    return [hidden, {"params": [p for p in wanted if p.ndim != 2]}]


def give_gradients(wanted, seed):
    torch.manual_seed(seed)
    for p in wanted:
        p.grad = torch.randn(p.shape, dtype=p.dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_iterations_keep_singular_vectors_and_bring_singular_values_near_one(shape):
    torch.manual_seed(1)
    matrix = torch.randn(3, *shape, dtype=torch.float64)
    result = orthogonal(matrix, 8)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.mT @ result @ right.mT
    values = inner.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(values), rtol=0, atol=1e-9)
    assert values.min() > 0.6
    assert values.max() < 1.3


def plain_muon(p, gradients, lr, momentum, decay):
    """One matrix at a time, by its singular value decomposition's polynomial."""
    a, b, c = 3.4445, -4.7750, 2.0315
    total = torch.zeros_like(p)
    for gradient in gradients:
        total = momentum * total + gradient
        left, values, right = torch.linalg.svd(gradient + momentum * total, full_matrices=False)
        values = values / values.square().sum().sqrt()
        for _ in range(5):
            values = a * values + b * values**3 + c * values**5
        size = lr * max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        p = p * (1 - lr * decay) - size * left @ torch.diag(values) @ right
    return p


def test_matrices_step_as_muon_does_one_by_one():
    wanted = parameters()
    before = [p.detach().clone() for p in wanted]
    optimizer = MuonAdamW(groups(wanted), lr=0.03, momentum=0.9, weight_decay=0.2)
    gradients = []
    for seed in range(3):
        give_gradients(wanted, seed)
        gradients.append([p.grad.clone() for p in wanted])
        optimizer.step()
    for i in range(len(SHAPES)):
        expected = plain_muon(before[i], [g[i] for g in gradients], 0.03, 0.9, 0.2)
        torch.testing.assert_close(wanted[i].detach(), expected)


def test_all_else_steps_as_adamw_does():
    weight, *wanted = parameters()[len(SHAPES) - 1 :]
    wanted.append(nn.Parameter(torch.ones(3, 2, dtype=torch.float64)))  # a matrix unmarked
    theirs = deepcopy(wanted)
    marked = [{"params": [weight], "is_hidden": True}, {"params": wanted}]
    ours = MuonAdamW(marked, lr=0.02, adamw_ratio=0.5, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for seed in range(4):
        for group, optimizer in ((wanted, ours), (theirs, adamw)):
            give_gradients(group, seed)
            optimizer.step()
    for p, other in zip(wanted, theirs, strict=True):
        torch.testing.assert_close(p, other)


def test_a_run_that_is_resumed_steps_on_to_the_last_bit():
    def run(num_steps, optimizer, wanted, start=0):
        for seed in range(start, num_steps):
            give_gradients(wanted, seed)
            optimizer.step()

    whole = parameters()
    run(6, MuonAdamW(groups(whole)), whole)
    first = parameters()
    optimizer = MuonAdamW(groups(first))
    run(3, optimizer, first)
    second = deepcopy(first)
    resumed = MuonAdamW(groups(second))
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    run(6, resumed, second, start=3)
    for p, other in zip(whole, second, strict=True):
        assert torch.equal(p, other)


def test_parameters_without_a_gradient_stay():
    wanted = parameters()
    before = [p.detach().clone() for p in wanted]
    MuonAdamW(groups(wanted)).step()
    for p, old in zip(wanted, before, strict=True):
        assert torch.equal(p, old)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must not be negative, got -1"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1"),
        ({"betas": (0.9, 1.5)}, "beta_2"),
        ({"num_iterations": 0}, "at least 1, got 0"),
    ],
)
def test_numbers_out_of_bounds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MuonAdamW(groups(parameters()), **options)


def test_groups_without_a_mark_are_refused():
    with pytest.raises(ValueError, match="is_hidden"):
        MuonAdamW(parameters())
