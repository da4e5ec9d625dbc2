"""Means of named quantities of an evaluation."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Means:
    """Means of quantities, each over the samples that it is defined for.

    Args:
        names: Names of the quantities, in order.
        device: Device of sums and counts, so that they can be reduced over ranks.
    """

    def __init__(self, names: Sequence[str], device: torch.device):
        self.names = names
        self.sums = torch.zeros(2, len(names), dtype=torch.float64, device=device)

    def add(self, found: Mapping[str, Sequence[float]]) -> None:
        """Add values of every quantity."""
        for index, name in enumerate(self.names):
            self.sums[0, index] += sum(found[name])
            self.sums[1, index] += len(found[name])

    def row(self, sums: Tensor) -> dict[str, float]:
        """Means and counts of measured quantities, from sums and counts over all ranks."""
        row = dict[str, float]()
        for name, total, num in zip(self.names, *sums.tolist(), strict=True):
            if num:
                row |= {name: total / num, f"{name}_count": num}
        return row
