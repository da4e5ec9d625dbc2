"""Steps of given divergence: the factor on a gradient that reaches it."""

import pytest
import torch

from modules.summariser.steering.control import LARGEST, step_of


def divergences(after, before):
    """KL(softmax(after) || softmax(before)) in double precision, a position on average."""
    a, b = after.double().log_softmax(-1), before.double().log_softmax(-1)
    return (a.exp() * (a - b)).sum(-1).mean(-1)


@pytest.mark.parametrize("divergence", [1e-3, 0.05, 0.7])
@pytest.mark.parametrize("certainty", [0.0, 1.0, 12.0, 25.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_step_of_given_divergence_reaches_it(divergence, certainty, size):
    torch.manual_seed(5)
    z = 2 * torch.randn(3, 4, 50)
    z[..., 7] += certainty
    z[1, 1:, 7] -= certainty  # sure at one position, unsure at others
    rise = size * torch.randn(3, 4, 50) * torch.tensor([1.0, 0.01, 30.0])[:, None, None]
    s = step_of(z, rise, divergence)
    assert (s < LARGEST).all()
    found = divergences(z + s[:, None, None] * rise, z)
    torch.testing.assert_close(
        found, torch.full((3,), divergence, dtype=torch.float64), rtol=0.01, atol=0
    )


def test_without_a_gradient_no_divergence_is_reached_and_nothing_moves():
    z = torch.randn(2, 3, 9)
    s = step_of(z, torch.zeros_like(z), 0.1)
    assert s.tolist() == [LARGEST] * 2
    moved = step_of(z, torch.stack([torch.zeros(3, 9), torch.randn(3, 9)]), 0.1)
    assert moved[0] == LARGEST
    assert moved[1] < 100
