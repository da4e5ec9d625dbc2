"""Limits on the clean sample that a sampler believes in at a step. B = samples, N = their size."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


class Limit(ABC):
    """Keeps predicted clean samples in the range of the data."""

    @abstractmethod
    def apply(self, x_0: Tensor) -> Tensor:
        """The samples, limited."""


@dataclass(frozen=True)
class Clip(Limit):
    """Static clipping (Ho et al., 2020).

    Attributes:
        value: Largest magnitude of the data.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a bound that leaves nothing."""
        if self.value <= 0:
            raise ValueError(f"value must be positive, got {self.value}")

    def apply(self, x_0: Tensor) -> Tensor:
        """The samples, clipped to [-value, value]."""
        return x_0.clamp(-self.value, self.value)


@dataclass(frozen=True)
class DynamicThreshold(Limit):
    """Dynamic thresholding of data in [-1, 1] (Saharia et al., 2022, sec. 2.3).

    Each sample is clipped at a quantile s of its magnitudes and divided by s, where s is above 1.

    Attributes:
        quantile: Share of a sample's magnitudes that lies below s.
        largest: Bound on s.
    """

    quantile: float = 0.995
    largest: float = float("inf")

    def __post_init__(self) -> None:
        """Refuse what is no quantile."""
        if not 0 < self.quantile <= 1:
            raise ValueError(f"quantile must lie in (0, 1], got {self.quantile}")
        if self.largest < 1:
            raise ValueError(f"largest must be at least 1, got {self.largest}")

    def apply(self, x_0: Tensor) -> Tensor:
        """The samples, thresholded; one in [-1, 1] stays as it is."""
        magnitude_BN = x_0.flatten(1).abs().float()
        s_B = magnitude_BN.quantile(self.quantile, dim=1).clamp(1.0, self.largest)
        s = s_B.to(x_0.dtype).view(-1, *[1] * (x_0.ndim - 1))
        return x_0.clamp(-s, s) / s
