"""Frechet distance of drawn images to real ones, over all ranks. N = images, H, W = their size."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from modules.metrics.image.frechet import FeatureSums, Gaussian, frechet_distance
from modules.metrics.meter import Reduce


@dataclass(frozen=True)
class Reference:
    """Which real images a test compares with.

    Attributes:
        source: Fingerprint of the images, of all that changes them; empty where nobody knows.
        is_whole: Whether the test reads all of them, and not the first ones.
    """

    source: str = ""
    is_whole: bool = True


def reference(trainer: Any, *more: str) -> Reference:
    """The real images of the test that a trainer runs.

    Args:
        trainer: Of Lightning; its datamodule may say by `fingerprint("test")` what it reads.
        more: Fingerprints of what else changes images, such as of a codec.
    """
    describe = getattr(getattr(trainer, "datamodule", None), "fingerprint", None)
    source = json.dumps([describe("test"), *more]) if callable(describe) else ""
    limit = getattr(trainer, "limit_test_batches", 1.0)
    is_whole = isinstance(limit, float) and limit == 1.0 and not trainer.fast_dev_run
    return Reference(source, is_whole)


class FrechetMetric:
    """Frechet distance of drawn images to real ones.

    Args:
        features: Builds what turns images into features.
        statistics: File of real images' statistics; written where it is not there, unless the
            test does not read all images.
        device: Where the features are computed.
        real: Which images are the real ones.

    Raises:
        ValueError: The file is broken, or it is of other images or features, as far as it says.
    """

    def __init__(
        self,
        features: Callable[[], nn.Module],
        statistics: str | None,
        device: torch.device,
        real: Reference | None = None,
    ):
        self.extract = features().to(device).eval()
        self.title = str(getattr(self.extract, "title", type(self.extract).__name__))
        self.device = device
        self.path = None if statistics is None else Path(statistics)
        self.reference = real or Reference()
        self.source = "" if self.path is None else self.fingerprint()
        self.known: Gaussian | None = None
        if self.path is not None and self.path.is_file():
            self.known = Gaussian.load(self.path)
            self.check(self.known, self.path)
        self.drawn: FeatureSums | None = None
        self.real: FeatureSums | None = None

    @property
    def is_known(self) -> bool:
        """Whether the statistics of real images are read from a file."""
        return self.known is not None

    def fingerprint(self) -> str:
        """A hash of the real images, and of the network that makes features of them."""
        if not self.reference.source:
            return ""
        digest = hashlib.sha256(f"{self.title}/{self.reference.source}".encode())
        for name, weight in sorted(self.extract.state_dict().items()):
            digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def check(self, known: Gaussian, path: Path) -> None:
        """Refuse statistics of other images or features; those of pytorch-fid say nothing."""
        if known.features and known.features != self.title:
            raise ValueError(f"{path} is of features {known.features}, not {self.title}")
        if known.features and self.source and known.source != self.source:
            raise ValueError(
                f"{path} holds statistics of other images or features than this test's, or does "
                "not say of which: remove it, or name another file in judge.init_args.statistics"
            )

    def add(self, drawn_NCHW: Tensor, real_NCHW: Tensor) -> None:
        """Add images of both kinds, RGB in [0, 1]."""
        self.add_drawn(drawn_NCHW)
        self.add_real(real_NCHW)

    def add_drawn(self, image_NCHW: Tensor) -> None:
        """Add drawn images, RGB in [0, 1]."""
        self.drawn = self.sums(self.drawn, image_NCHW)

    def add_real(self, image_NCHW: Tensor) -> None:
        """Add real images, RGB in [0, 1]; passed over where their statistics are known."""
        if not self.is_known:
            self.real = self.sums(self.real, image_NCHW)

    @torch.no_grad()
    def sums(self, before: FeatureSums | None, image_NCHW: Tensor) -> FeatureSums:
        """The sums after adding images."""
        feature_ND = self.extract(image_NCHW.to(self.device))
        sums = before or FeatureSums(feature_ND.shape[1], self.title)
        sums.add(feature_ND)
        return sums

    def distance(self, reduce: Reduce) -> float:
        """The Frechet distance over all ranks."""
        drawn = self.whole(self.drawn, reduce)
        if self.known is not None:
            return frechet_distance(drawn, self.known)
        real = replace(self.whole(self.real, reduce), source=self.source)
        if self.path is not None and self.reference.is_whole and rank() == 0:
            real.save(self.path)  # for the next time
        return frechet_distance(drawn, real)

    def whole(self, sums: FeatureSums | None, reduce: Reduce) -> Gaussian:
        """Mean and covariance over all ranks, one of which may have seen nothing."""
        sizes = over_ranks([0 if sums is None else len(sums.mean_D)])
        own = sums or FeatureSums(int(counted(max(sizes))), self.title)
        return own.over_ranks(lambda value: reduce(value).cpu()).gaussian()


def counted(number: float, lack: str = "test: no image to evaluate") -> float:
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
