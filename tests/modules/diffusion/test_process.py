import math

import pytest
import torch

from modules.diffusion.process import (
    add_noise,
    min_snr_weight,
    predict_noise,
    predict_x_0,
    read,
    target,
    velocity,
)

KINDS = ["eps", "v", "x_0"]
SHAPES = [(3,), (3, 4), (3, 2, 4, 4)]


def draw(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(shape), torch.randn(shape), torch.tensor([0.9, 0.5, 0.1]).double()


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_is_added_as_the_formula_says_for_any_shape(shape):
    x_0, noise, abar = draw(shape)
    x_t = add_noise(x_0, noise, abar)
    for b in range(3):
        a = abar[b].item()
        torch.testing.assert_close(x_t[b], math.sqrt(a) * x_0[b] + math.sqrt(1 - a) * noise[b])
    assert x_t.dtype == torch.float32


def test_no_noise_at_full_signal_and_only_noise_at_none():
    x_0, noise, _ = draw((3, 4))
    assert torch.equal(add_noise(x_0, noise, torch.ones(3)), x_0)
    assert torch.equal(add_noise(x_0, noise, torch.zeros(3)), noise)


def test_predictions_undo_the_noise():
    x_0, noise, abar = draw((3, 4))
    x_t = add_noise(x_0, noise, abar)
    torch.testing.assert_close(predict_x_0(x_t, noise, abar), x_0)
    torch.testing.assert_close(predict_noise(x_t, x_0, abar), noise)


def test_velocity_is_the_derivative_along_the_angle():
    x_0, noise, abar = draw((3, 4))
    x_0, noise, angle, small = x_0.double(), noise.double(), torch.acos(abar.sqrt()), 1e-6
    there, here = (add_noise(x_0, noise, torch.cos(angle + d) ** 2) for d in (small, -small))
    torch.testing.assert_close(
        velocity(x_0, noise, abar), (there - here) / (2 * small), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_reading_the_target_gives_back_both_parts(kind):
    x_0, noise, abar = draw((3, 2, 4, 4))
    x_t = add_noise(x_0, noise, abar)
    read_x_0, read_eps = read(kind, target(kind, x_0, noise, abar), x_t, abar)
    torch.testing.assert_close(read_x_0, x_0)
    torch.testing.assert_close(read_eps, noise)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_read_adds_up_to_what_was_seen(kind):
    x_t, output, abar = draw((3, 4))
    torch.testing.assert_close(add_noise(*read(kind, output, x_t, abar), abar), x_t)


def test_pure_noise_still_tells_x_0_from_v():
    x_t, v, _ = draw((3, 4))
    x_0, eps = read("v", v, x_t, torch.zeros(3))
    assert torch.equal(x_0, -v)
    assert torch.equal(eps, x_t)


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_is_one_objective_in_every_prediction(kind):
    x_0, noise, abar = draw((3, 4))
    x_t = add_noise(x_0, noise, abar)
    wrong = target(kind, x_0, noise, abar) + 0.1 * torch.randn(3, 4)
    error = (wrong - target(kind, x_0, noise, abar)).square().mean(1)
    error_x_0 = (read(kind, wrong, x_t, abar)[0] - x_0).square().mean(1)
    snr = abar / (1 - abar)
    torch.testing.assert_close(
        min_snr_weight(kind, abar) * error, (snr.clamp(max=5.0) * error_x_0).float()
    )


def test_min_snr_weights_have_their_limits():
    ends = torch.tensor([0.0, 1.0]).double()
    assert min_snr_weight("x_0", ends).tolist() == [0, 5]
    assert min_snr_weight("eps", ends).tolist() == [1, 0]
    assert min_snr_weight("v", ends).tolist() == [0, 0]
    assert min_snr_weight("eps", ends).dtype == torch.float32


def test_roots_are_taken_before_digits_are_dropped():
    abar = torch.tensor([1 - 1e-9], dtype=torch.float64)
    noise = torch.ones(1, 1)
    assert add_noise(torch.zeros(1, 1), noise, abar).item() == pytest.approx(1e-9**0.5, rel=1e-6)
