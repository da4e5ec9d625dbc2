"""Combinations of the branches' logits: a weighted sum and its variants.

Shape legend: V = tokens; leading dimensions are free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
from torch import Tensor


class Combination(Protocol):
    """Combines the logits of all branches to logits [..., V], in float32."""

    def __call__(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Combine; logits and weights are in the order of the branches."""


@dataclass(frozen=True)
class WeightedSum:
    """sum_k w_k s_k, the logits of a product of powers of the branches' distributions."""

    def __call__(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Combine."""
        total = logits[0].float() * weights[0]
        for logit, weight in zip(logits[1:], weights[1:], strict=True):
            total.add_(logit.float(), alpha=weight)
        return total


@dataclass(frozen=True)
class AdaptiveContrast:
    """(1 + a) s_1 - a s_2 with a = JSD(p_1, p_2) at every token (AdaCAD; Wang et al., 2024).

    The Jensen-Shannon divergence is taken to base 2, so a is within [0, 1]: 0 where the branches
    agree. The branches' weights are not used.

    Attributes:
        scale: Factor on a; ours, 1 is the paper's.
        least: Lower bound of a.
    """

    scale: float = 1.0
    least: float = 0.0

    def __call__(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Combine two branches.

        Raises:
            ValueError: There are not two.
        """
        if len(logits) != 2:
            raise ValueError(f"an adaptive contrast takes two branches, got {len(logits)}")
        one, other = (logit.float() for logit in logits)
        alpha = (self.scale * jensen_shannon(one, other)).clamp(min=self.least)[..., None]
        return one + alpha * (one - other)


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence of the softmaxes of two logits [..., V], in bits, within [0, 1]."""
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    middle = torch.logaddexp(p, q) - log(2)
    halves = [(r.exp() * (r - middle).nan_to_num(0.0)).sum(-1) / 2 for r in (p, q)]
    return ((halves[0] + halves[1]) / log(2)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class PlausibleOnly:
    """Only tokens that the first branch finds likely (Li et al., 2023, eq. 2).

    Attributes:
        combination: What is cut.
        share: Least probability, as a share of that of the first branch's most likely token.
    """

    combination: Combination
    share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share that keeps nothing or has no meaning."""
        if not 0 < self.share <= 1:
            raise ValueError(f"the share of a plausibility cut must be in (0, 1], got {self.share}")

    def __call__(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Combine, minus infinity where a token is not plausible."""
        first = logits[0].float()
        too_low = first < first.amax(-1, keepdim=True) + log(self.share)
        return self.combination(logits, weights).masked_fill(too_low, -torch.inf)
