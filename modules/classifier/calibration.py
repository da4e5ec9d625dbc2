"""From scores to probabilities that mean what they say, and a threshold of a known error.

All of it is decided on validation texts. Shape legend: N = texts, C = classes.
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
    """What validation said of a detector.

    Attributes:
        temperature: Divides the logits.
        offset: Added to the logit of the second of two classes then: its share in training may have
            been another than in validation.
        threshold: Probability of the positive class from which on a text is called positive.
        false_positive_rate: Share of the negative validation texts that are called positive then;
            the cuts of one text count as one text between them.
        num_negative: How many negative texts stand behind that share, the cuts of one text once.
        least_density: Tokens a byte below which a text is unlike nearly all of validation.
        most_density: The same above.
        step: Optimizer steps that had been taken; -1 before any validation.
        threshold_odds: The threshold in log-odds, which decides, as probabilities near 1 are the
            same number; None takes those of `threshold`.
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
        """Logits whose softmax means what it says."""
        moved_NC = logits_NC / self.temperature
        moved_NC[..., 1] += self.offset
        return moved_NC

    def odds(self, logits_NC: Tensor) -> Tensor:
        """Calibrated log-odds of the second of two classes."""
        return (logits_NC[..., 1] - logits_NC[..., 0]).double() / self.temperature + self.offset

    @property
    def least_odds(self) -> float:
        """Log-odds from which on a text is called positive."""
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
        """What these texts ask for: of two classes also offset and threshold.

        Args:
            logits_NC: What the detector said.
            label_N: Class of each text.
            rate: False-positive rate of the threshold.
            whose: Text of which each is a cut; each is a text of its own where None.

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
    """What each of some cuts counts, float64, so that all cuts of one text count 1 together."""
    count = Counter(names)
    return torch.tensor([1 / count[name] for name in names], dtype=torch.float64)


def fit_temperature(logits_NC: Tensor, label_N: Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al., 2017, sec. 4.2), by SciPy.

    Targets are a little off 1, t_y = 1 - 1 / (N + 2) (after Platt, 1999), so that texts which are
    all told apart do not make it 0; scikit-learn's own temperature scaling has none such. With
    a = 1 / T the slope of the mean cross-entropy, mean(sum_c (p_c - t_c) z_c), rises with a.

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
    """What the classes of texts are taken to be, float64 [N, C]: nearly, but not quite, sure."""
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
        tiny where the scores tell nothing, or the reverse. 1 and 0 where all are of one class.

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
    """The lowest threshold at which no more than a share of negative texts is called positive.

    Args:
        negative_N: Log-odds of the positive class of negative texts.
        rate: That share.
        vote_N: What each counts; 1 where None.

    Returns:
        The threshold in log-odds, between two texts or above them all, and the share at it: with
        fewer than 1 / `rate` texts it is 0. Between two texts it is where the probability is half
        way between theirs.
    """
    vote_N = torch.ones(len(negative_N), dtype=torch.float64) if vote_N is None else vote_N
    level_G, place_N = torch.unique(-negative_N.double(), return_inverse=True)
    passed_G = (
        torch.zeros(len(level_G), dtype=torch.float64).index_add(0, place_N, vote_N).cumsum(0)
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
    """Bounds that hold nearly all validation texts, and half as far again beyond them."""
    low, middle, high = torch.quantile(
        density_N.double(), torch.tensor([0.005, 0.5, 0.995], dtype=torch.float64)
    ).tolist()
    return low - (middle - low) / 2, high + (high - middle) / 2
