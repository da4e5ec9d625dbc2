"""From scores to probabilities that mean what they say, and a threshold of a known error.

All of it is decided on validation texts. Shape legend: N = texts, C = classes.
"""

from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.01, 100.0
NUM_HALVINGS = 60
NUM_STEPS = 100
"""Newton steps of a logistic regression, at most."""
RIDGE = 1e-5
"""Weight of the squared slope in a logistic regression, which keeps it finite."""


@dataclass(frozen=True)
class Calibration:
    """What validation said of a detector.

    Attributes:
        temperature: Divides the logits.
        offset: Added to the logit of the second of two classes then: its share in training may have
            been another than in validation.
        threshold: Probability of the positive class from which on a text is called positive.
        false_positive_rate: Share of the negative validation texts that are called positive then.
        num_negative: How many negative texts stand behind that share, the cuts of one text once.
        least_density: Tokens a byte below which a text is unlike nearly all of validation.
        most_density: The same above.
        step: Optimizer steps that had been taken; -1 before any validation.
    """

    temperature: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    false_positive_rate: float = 1.0
    num_negative: int = 0
    least_density: float = 0.0
    most_density: float = inf
    step: int = -1

    def calibrated(self, logits_NC: Tensor) -> Tensor:
        """Logits whose softmax means what it says."""
        moved_NC = logits_NC / self.temperature
        moved_NC[..., 1] += self.offset
        return moved_NC

    @staticmethod
    def of(logits_NC: Tensor, label_N: Tensor, rate: float) -> "Calibration":
        """What these texts ask for: of two classes also offset and threshold.

        Args:
            logits_NC: What the detector said.
            label_N: Class of each text.
            rate: False-positive rate of the threshold.
        """
        if logits_NC.shape[1] > 2:
            return Calibration(fit_temperature(logits_NC, label_N))
        slope, offset = fit_logistic(logits_NC[:, 1] - logits_NC[:, 0], label_N)
        found = Calibration(1 / slope, offset)
        negative_N = found.calibrated(logits_NC).softmax(1)[label_N == 0, 1]
        if not len(negative_N):
            return found
        threshold, share = threshold_of(negative_N, rate)
        found = replace(found, threshold=threshold, false_positive_rate=share)
        return replace(found, num_negative=len(negative_N))


def fit_temperature(logits_NC: Tensor, label_N: Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al., 2017, sec. 4.2).

    Targets are a little off 1, t_y = 1 - 1 / (N + 2) (after Platt, 1999), so that texts which are
    all told apart do not make it 0. With a = 1 / T the slope of the mean cross-entropy,
    mean(sum_c (p_c - t_c) z_c), rises with a, so that halving an interval finds where it is zero.

    Args:
        logits_NC: Logits z.
        label_N: Class y of each text.
    """
    z_NC = logits_NC.double()
    wanted_N = (targets(label_N, z_NC.shape[1]) * z_NC).sum(1)
    low, high = 1 / GREATEST_TEMPERATURE, 1 / LEAST_TEMPERATURE
    for _ in range(NUM_HALVINGS):
        a = (low * high) ** 0.5
        expected_N = ((a * z_NC).softmax(1) * z_NC).sum(1)
        if (expected_N - wanted_N).mean() > 0:
            high = a
        else:
            low = a
    return float(1 / (low * high) ** 0.5)


def targets(label_N: Tensor, num_classes: int) -> Tensor:
    """What the classes of texts are taken to be, float64 [N, C]: nearly, but not quite, sure."""
    doubt = 1 / (len(label_N) + 2)
    target_NC = torch.full(
        (len(label_N), num_classes), doubt / (num_classes - 1), dtype=torch.float64
    )
    return target_NC.scatter_(1, label_N[:, None], 1 - doubt)


def fit_logistic(score_N: Tensor, label_N: Tensor) -> tuple[float, float]:
    """Slope a and offset b of p(positive) = sigmoid(a s + b) (Platt, 1999), by Newton's method.

    Args:
        score_N: Scores s.
        label_N: 1 where positive, else 0.

    Returns:
        The slope is never negative, so that a higher score never means a lower probability; it is
        tiny where the scores tell nothing, or the reverse.
    """
    s_N, y_N = score_N.double(), label_N.double()
    mean, deviation = s_N.mean(), s_N.std().clamp(min=1e-12)
    x_N2 = torch.stack([(s_N - mean) / deviation, torch.ones_like(s_N)], dim=1)
    ridge_22 = torch.diag(torch.tensor([RIDGE, 0.0], dtype=torch.float64)) * len(s_N)
    w_2 = torch.zeros(2, dtype=torch.float64)
    for _ in range(NUM_STEPS):
        p_N = torch.sigmoid(x_N2 @ w_2)
        slope_2 = x_N2.T @ (p_N - y_N) + ridge_22 @ w_2
        curve_22 = (x_N2 * (p_N * (1 - p_N))[:, None]).T @ x_N2 + ridge_22
        step_2 = torch.linalg.solve(curve_22 + 1e-9 * torch.eye(2), slope_2)
        w_2 = w_2 - step_2
        if step_2.abs().max() < 1e-10:
            break
    a = max(w_2[0].item(), 1e-6) / deviation.item()
    b = w_2[1].item() - a * mean.item() if w_2[0] > 1e-6 else logit(y_N.mean()) - a * mean.item()
    return a, b


def logit(p: Tensor) -> float:
    """Log-odds of a probability."""
    return float(torch.logit(p, eps=1e-6))


def threshold_of(negative_N: Tensor, rate: float) -> tuple[float, float]:
    """The lowest threshold at which no more than a share of negative texts is called positive.

    Args:
        negative_N: Probability of the positive class of negative texts.
        rate: That share.

    Returns:
        The threshold, between two texts or above them all, and the share at it: with fewer than
        1 / `rate` texts it is 0.
    """
    p_N = negative_N.double().sort(descending=True).values
    for num in range(int(rate * len(p_N) + 1e-9), -1, -1):
        above = p_N[num - 1].item() if num else 1.0
        below = p_N[num].item() if num < len(p_N) else 0.0
        if above > below:
            return (above + below) / 2, num / len(p_N)
    return 1.0, float((p_N >= 1.0).double().mean())


def densities(density_N: Tensor) -> tuple[float, float]:
    """Bounds that hold nearly all validation texts, and half as far again beyond them."""
    low, middle, high = torch.quantile(
        density_N.double(), torch.tensor([0.005, 0.5, 0.995], dtype=torch.float64)
    ).tolist()
    return low - (middle - low) / 2, high + (high - middle) / 2
