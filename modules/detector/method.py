"""Interface of detectors that are not trained networks."""

from abc import abstractmethod

from torch import Tensor, nn


class DetectionMethod(nn.Module):
    """Scores texts; a higher score means more likely written by a machine."""

    learns = False
    """Whether it is fitted on training texts."""

    def learn(self, texts: list[str], labels: list[int]) -> None:
        """Fit on texts; label 1 is machine."""
        raise TypeError(f"{type(self).__name__} learns nothing")

    @abstractmethod
    def scores(self, texts: list[str]) -> Tensor:
        """A score of each text, float64, on the CPU."""
