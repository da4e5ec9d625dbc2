"""A detector that is no trained network: what it must be able to do."""

from abc import abstractmethod

from torch import Tensor, nn


class DetectionMethod(nn.Module):
    """Gives every text a score that is the higher the more a machine seems to have written it."""

    learns = False
    """Whether it needs training texts."""

    def learn(self, texts: list[str], labels: list[int]) -> None:
        """Learn from texts; label 1 is the machine's."""
        raise TypeError(f"{type(self).__name__} learns nothing")

    @abstractmethod
    def scores(self, texts: list[str]) -> Tensor:
        """A score for each text, float64, on the CPU."""
