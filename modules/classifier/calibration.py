"""Calibrated probabilities, and a threshold with a known false-positive rate.

Both are fitted on validation texts. Shape legend: N = texts, C = classes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.classifier.finite import check_finite
from modules.metrics.classification import few_enough

LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.01, 100.0
RIDGE = 1e-5
"""Weight of the squared slope in a logistic regression, which keeps it finite."""
LEAST_SLOPE = 1e-6
"""Of scores whose standard deviation is 1."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a classifier on validation texts.

    Attributes:
        temperature: Divides the logits.
        offset: Then added to the logit of the second of two classes: its share in training may
            differ from that in validation.
        threshold: Probability of the positive class from which a text is called positive.
        false_positive_rate: Share of the negative validation texts called positive at that
            threshold; all cuts of one text count as one text together.
        num_negative: Number of negative texts that this share is of; the cuts of one text count
            once.
        least_density: Tokens per byte below which a text is unlike nearly all of validation.
        most_density: Tokens per byte above which it is.
        step: Optimizer steps taken before it; -1 without any validation.
        threshold_odds: The threshold in log-odds, which decides, since probabilities near 1 round
            to the same number; derived from `threshold` if None.
    """

    temperature: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    false_positive_rate: float = 1.0
    num_negative: int = 0
    least_density: float = 0.0
    most_density: float = inf
    step: int = -1
    threshold_odds: float | None = None

    def calibrated(self, logits_NC: Tensor) -> Tensor:
        """Logits whose softmax is calibrated."""
        moved_NC = logits_NC / self.temperature
        moved_NC[..., 1] += self.offset
        return moved_NC

    def odds(self, logits_NC: Tensor) -> Tensor:
        """Calibrated log-odds of the second of two classes."""
        return (logits_NC[..., 1] - logits_NC[..., 0]).double() / self.temperature + self.offset

    @property
    def least_odds(self) -> float:
        """Log-odds from which a text is called positive."""
        if self.threshold_odds is not None:
            return self.threshold_odds
        return float(torch.logit(torch.tensor(self.threshold, dtype=torch.float64)))

    def calls(self, logits_NC: Tensor) -> Tensor:
        """Which texts are called positive, by the threshold."""
        return self.odds(logits_NC) >= self.least_odds

    @staticmethod
    def of(
        logits_NC: Tensor, label_N: Tensor, rate: float, whose: Sequence[str] | None = None
    ) -> "Calibration":
        """Fit the temperature on these texts; with two classes also offset and threshold.

        Args:
            logits_NC: Logits of the classifier.
            label_N: Class of each text.
            rate: False-positive rate of the threshold.
            whose: Name of the text that each is a cut of; all are different texts if None.

        Raises:
            ValueError: A logit is not finite.
        """
        check_finite(logits_NC)
        if logits_NC.shape[1] > 2:
            return Calibration(fit_temperature(logits_NC, label_N))
        slope, offset = fit_logistic(logits_NC[:, 1] - logits_NC[:, 0], label_N)
        found = Calibration(1 / slope, offset)
        negative = (label_N == 0).nonzero()[:, 0].tolist()
        if not negative:
            return found
        vote_N = votes([str(i) if whose is None else whose[i] for i in negative])
        odds, share = threshold_of(found.odds(logits_NC[negative]), rate, vote_N)
        p = float(torch.sigmoid(torch.tensor(odds, dtype=torch.float64)))
        found = replace(found, threshold=p, threshold_odds=odds, false_positive_rate=share)
        return replace(found, num_negative=round(vote_N.sum().item()))


def votes(names: Sequence[str]) -> Tensor:
    """Weight of each cut, float64, such that all cuts of one text sum to 1."""
    count = Counter(names)
    return torch.tensor([1 / count[name] for name in names], dtype=torch.float64)


def fit_temperature(logits_NC: Tensor, label_N: Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al., 2017, sec. 4.2), by SciPy.

    Targets are slightly below 1, t_y = 1 - 1 / (N + 2) (after Platt, 1999), so that perfectly
    separated texts do not make it 0; scikit-learn's own temperature scaling has no such targets.
    With a = 1 / T the slope of the mean cross-entropy, mean(sum_c (p_c - t_c) z_c), rises with a.

    Args:
        logits_NC: Logits z.
        label_N: Class y of each text.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    z_NC = logits_NC.double()
    wanted_N = (targets(label_N, z_NC.shape[1]) * z_NC).sum(1)

    def slope(log_a: float) -> float:
        expected_N = ((z_NC * exp(log_a)).softmax(1) * z_NC).sum(1)
        return float((expected_N - wanted_N).mean())

    least, most = -log(GREATEST_TEMPERATURE), -log(LEAST_TEMPERATURE)
    if slope(least) >= 0 or slope(most) <= 0:
        return GREATEST_TEMPERATURE if slope(least) >= 0 else LEAST_TEMPERATURE
    return exp(-brentq(slope, least, most, xtol=1e-14))


def targets(label_N: Tensor, num_classes: int) -> Tensor:
    """Smoothed targets of the classes, float64 [N, C], slightly below 1 (Platt, 1999)."""
    doubt = 1 / (len(label_N) + 2)
    target_NC = torch.full(
        (len(label_N), num_classes), doubt / (num_classes - 1), dtype=torch.float64
    )
    return target_NC.scatter_(1, label_N[:, None], 1 - doubt)


def fit_logistic(score_N: Tensor, label_N: Tensor) -> tuple[float, float]:
    """Slope a and offset b of p(positive) = sigmoid(a s + b) (Platt, 1999), by scikit-learn.

    Args:
        score_N: Scores s.
        label_N: 1 where positive, else 0.

    Returns:
        The slope is never negative, so that a higher score never means a lower probability; it is
        tiny where the scores carry no information, or the reverse. 1 and 0 with one class only.

    Raises:
        ValueError: A score is not finite.
    """
    from sklearn.linear_model import LogisticRegression

    check_finite(score_N)
    if len(label_N.unique()) < 2:
        return 1.0, 0.0
    s_N = score_N.double()
    mean, deviation = s_N.mean().item(), max(s_N.std().item(), 1e-12)
    x_N1 = ((s_N - mean) / deviation)[:, None].numpy()
    strength = 1 / (RIDGE * len(s_N))
    fit = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    fit.fit(x_N1, label_N.numpy())
    slope, level = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= LEAST_SLOPE:
        slope, level = LEAST_SLOPE, float(torch.logit(label_N.double().mean()))
    return slope / deviation, level - slope / deviation * mean


def threshold_of(
    negative_N: Tensor, rate: float, vote_N: Tensor | None = None
) -> tuple[float, float]:
    """The lowest threshold at which at most a given share of negative texts is called positive.

    Args:
        negative_N: Log-odds of the positive class of negative texts.
        rate: That share.
        vote_N: Weight of each; 1 if None.

    Returns:
        The threshold in log-odds, between two texts or above them all, and the share at it: with
        fewer than 1 / `rate` texts it is 0. Between two texts its probability is the mean of
        theirs.
    """
    vote_N = torch.ones(len(negative_N), dtype=torch.float64) if vote_N is None else vote_N
    level_G, level_of_N = torch.unique(-negative_N.double(), return_inverse=True)
    passed_G = (
        torch.zeros(len(level_G), dtype=torch.float64).index_add(0, level_of_N, vote_N).cumsum(0)
    )
    num = int(few_enough(passed_G, passed_G[-1:], rate).sum())
    bounds = [inf, *(-level_G).tolist(), -inf][num : num + 2]
    share = float(passed_G[num - 1] / passed_G[-1]) if num else 0.0
    return half_way(*bounds), share


def half_way(above: float, below: float) -> float:
    """Log-odds of the mean of two probabilities that are given as log-odds; above `below`."""
    both = torch.tensor([above, below], dtype=torch.float64)
    odds = float(F.logsigmoid(both).logsumexp(0) - F.logsigmoid(-both).logsumexp(0))
    return odds if below < odds <= above else above


def densities(density_N: Tensor) -> tuple[float, float]:
    """Bounds of nearly all validation texts, widened by half their distance from the median."""
    low, middle, high = torch.quantile(
        density_N.double(), torch.tensor([0.005, 0.5, 0.995], dtype=torch.float64)
    ).tolist()
    return low - (middle - low) / 2, high + (high - middle) / 2
