"""The forward process q(x_t | x_0), and what a network may be asked to predict of it.

Every function is pure: no parameters, no device moves, no trainer. The signal left, `abar_B`, has
one entry per sample, and samples may have any shape after their first axis. Where it says x_0 and
eps, x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps always holds.
"""

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["eps", "v", "x_0"]
"""What a network predicts: the noise, the velocity, or the clean sample."""


def amplitudes(abar_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes of signal and noise, sqrt(abar) and sqrt(1 - abar), ready to scale samples.

    Args:
        abar_B: Signal left, in [0, 1]; roots are taken in its own precision.
        like: Samples; they give rank and dtype.
    """
    abar = abar_B.view(-1, *[1] * (like.ndim - 1))
    return abar.sqrt().to(like.dtype), (1 - abar).sqrt().to(like.dtype)


def add_noise(x_0: Tensor, noise: Tensor, abar_B: Tensor) -> Tensor:
    """Draw x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise (Ho et al., 2020, eq. 4)."""
    alpha, sigma = amplitudes(abar_B, x_0)
    return alpha * x_0 + sigma * noise


def predict_x_0(x_t: Tensor, noise: Tensor, abar_B: Tensor) -> Tensor:
    """Invert `add_noise` for x_0, given the noise (Ho et al., 2020, eq. 15)."""
    alpha, sigma = amplitudes(abar_B, x_t)
    return (x_t - sigma * noise) / alpha


def predict_noise(x_t: Tensor, x_0: Tensor, abar_B: Tensor) -> Tensor:
    """Invert `add_noise` for the noise, given x_0; at abar = 1 there is none to find."""
    alpha, sigma = amplitudes(abar_B, x_t)
    return (x_t - alpha * x_0) / sigma


def velocity(x_0: Tensor, noise: Tensor, abar_B: Tensor) -> Tensor:
    """The velocity, v = sqrt(abar) noise - sqrt(1 - abar) x_0 (Salimans & Ho, 2022, app. D)."""
    alpha, sigma = amplitudes(abar_B, x_0)
    return alpha * noise - sigma * x_0


def target(kind: Prediction, x_0: Tensor, noise: Tensor, abar_B: Tensor) -> Tensor:
    """What the network is to predict at x_t."""
    if kind == "eps":
        return noise
    return velocity(x_0, noise, abar_B) if kind == "v" else x_0


def read(kind: Prediction, output: Tensor, x_t: Tensor, abar_B: Tensor) -> tuple[Tensor, Tensor]:
    """The clean sample and the noise, (x_0, eps), that a network's output represents.

    Args:
        kind: What the network predicts.
        output: Its output at x_t.
        x_t: What it was shown.
        abar_B: Signal left in it; above 0 for "eps", below 1 for "x_0".
    """
    if kind == "eps":
        return predict_x_0(x_t, output, abar_B), output
    if kind == "x_0":
        return output, predict_noise(x_t, output, abar_B)
    alpha, sigma = amplitudes(abar_B, x_t)
    return alpha * x_t - sigma * output, sigma * x_t + alpha * output


def min_snr_weight(kind: Prediction, abar_B: Tensor, bound: float = 5.0) -> Tensor:
    """Weight of each sample's squared error: min(SNR, bound) on that of x_0 (Hang et al., 2023).

    The same objective, said in terms of what is predicted: errors of eps are those of x_0 times
    SNR, errors of v those of x_0 times SNR + 1.

    Args:
        kind: What the network predicts.
        abar_B: Signal left.
        bound: The paper's gamma.

    Returns:
        [B], float32.
    """
    snr_B = abar_B / (1 - abar_B)
    if kind == "x_0":
        weight_B = snr_B.clamp(max=bound)
    elif kind == "v":
        weight_B = torch.minimum(abar_B, bound * (1 - abar_B))
    else:
        weight_B = (bound / snr_B).clamp(max=1.0)
    return weight_B.float()
