"""How near drawn pictures are to real ones, over all ranks. N = pictures, H, W = their size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from modules.metrics.frechet import FeatureSums, Gaussian, frechet_distance
from modules.metrics.meter import Reduce


class Likeness:
    """How near drawn pictures are to real ones.

    Args:
        features: Builds what turns pictures into features.
        statistics: File of real pictures' statistics; written where it is not there.
        device: Where the features are computed.
    """

    def __init__(
        self, features: Callable[[], nn.Module], statistics: str | None, device: torch.device
    ):
        self.extract = features().to(device).eval()
        self.title = str(getattr(self.extract, "title", type(self.extract).__name__))
        self.device = device
        self.path = None if statistics is None else Path(statistics)
        self.is_known = self.path is not None and self.path.is_file()
        self.drawn: FeatureSums | None = None
        self.real: FeatureSums | None = None

    def add(self, drawn_NCHW: Tensor, real_NCHW: Tensor) -> None:
        """Add pictures of both kinds, RGB in [0, 1]."""
        self.add_drawn(drawn_NCHW)
        self.add_real(real_NCHW)

    def add_drawn(self, picture_NCHW: Tensor) -> None:
        """Add drawn pictures, RGB in [0, 1]."""
        self.drawn = self.sums(self.drawn, picture_NCHW)

    def add_real(self, picture_NCHW: Tensor) -> None:
        """Add real pictures, RGB in [0, 1]; passed over where their statistics are known."""
        if not self.is_known:
            self.real = self.sums(self.real, picture_NCHW)

    @torch.no_grad()
    def sums(self, before: FeatureSums | None, picture_NCHW: Tensor) -> FeatureSums:
        """The sums with some pictures more."""
        feature_ND = self.extract(picture_NCHW.to(self.device))
        sums = before or FeatureSums(feature_ND.shape[1], self.title)
        sums.add(feature_ND)
        return sums

    def distance(self, reduce: Reduce) -> float:
        """The Frechet distance over all ranks."""
        drawn = self.whole(self.drawn, reduce)
        if self.is_known and self.path is not None:
            return frechet_distance(drawn, Gaussian.load(self.path))
        real = self.whole(self.real, reduce)
        if self.path is not None and rank() == 0:
            real.save(self.path)  # for the next time
        return frechet_distance(drawn, real)

    def whole(self, sums: FeatureSums | None, reduce: Reduce) -> Gaussian:
        """Mean and covariance over all ranks, one of which may have seen nothing."""
        sizes = over_ranks([0 if sums is None else len(sums.total_D)])
        own = sums or FeatureSums(int(counted(max(sizes))), self.title)
        return own.over_ranks(lambda value: reduce(value).cpu()).gaussian()


def counted(number: float, lack: str = "test: no picture to judge") -> float:
    """The number, if it is not 0; else a ValueError that names the lack."""
    if not number:
        raise ValueError(lack)
    return number


def over_ranks(items: list[Any]) -> list[Any]:
    """The items of all ranks."""
    if not torch.distributed.is_initialized():
        return items
    found: list[list[Any]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(found, items)
    return [item for one in found for item in one]


def rank() -> int:
    """Number of this process."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
