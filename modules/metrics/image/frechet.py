"""Frechet distance between features of images. Shape legend: B = images, D = features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.disk.whole import whole
from modules.metrics.meter import Reduce


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of features, float64 on the CPU.

    Attributes:
        mean_D: Mean.
        covariance_DD: Covariance, divided by the number of images less one.
        count: Number of images; 0 where a file does not say.
        features: What the features are; distances are only taken between the same.
        source: Fingerprint of the images and of what made features of them; empty where a file
            does not say.
    """

    mean_D: Tensor
    covariance_DD: Tensor
    count: int = 0
    features: str = ""
    source: str = ""

    def save(self, path: Path) -> None:
        """Write an .npz file that pytorch-fid reads as well; an old one stays until it is whole."""
        with whole(path) as draft, draft.open("wb") as file:
            np.savez(
                file,
                mu=self.mean_D.numpy(),
                sigma=self.covariance_DD.numpy(),
                count=self.count,
                features=self.features,
                source=self.source,
            )

    @staticmethod
    def load(path: Path) -> "Gaussian":
        """Read what `save` or pytorch-fid wrote.

        Raises:
            ValueError: The file is broken, lacks a mean or a covariance, their sizes differ, or
                they hold numbers that are not finite; names the file.
        """
        found = read_arrays(path)
        missing = {"mu", "sigma"} - found.keys()
        if missing:
            raise ValueError(f"{path}: no {' and no '.join(sorted(missing))}")
        mean, covariance = (torch.from_numpy(found[key]).double() for key in ("mu", "sigma"))
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(
                f"{path}: mu has {mean.numel()} features, sigma {tuple(covariance.shape)}"
            )
        for name, numbers in (("mu", mean), ("sigma", covariance)):
            if not numbers.isfinite().all():
                raise ValueError(f"{path}: {name} holds numbers that are not finite")
        count = int(found.get("count", 0))
        features, source = (str(found.get(key, "")) for key in ("features", "source"))
        return Gaussian(mean, covariance, count, features, source)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file.

    Raises:
        ValueError: It is none, or broken; names it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # zip archives and arrays break in many ways
        raise ValueError(f"{path} cannot be read as an .npz file: {error}") from error


class FeatureSums:
    """Count, mean and scatter of features, which can be added up in any order.

    The scatter is the sum of outer products of what is left when the mean is taken off (Chan et
    al., 1983), so that no digit is lost where means are far from 0.

    Args:
        size: Number of features, D.
        features: What they are; it travels with the statistics.
        device: Where the sums are kept, in float64.
    """

    def __init__(self, size: int, features: str = "", device: torch.device | str = "cpu"):
        self.features = features
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.mean_D = torch.zeros(size, dtype=torch.float64, device=device)
        self.scatter_DD = torch.zeros(size, size, dtype=torch.float64, device=device)

    def add(self, feature_BD: Tensor) -> None:
        """Add the features of some images; their graph is not kept.

        Raises:
            ValueError: Their number differs, or some are not finite.
        """
        if feature_BD.ndim != 2 or feature_BD.shape[1] != len(self.mean_D):
            raise ValueError(
                f"features must be [B, {len(self.mean_D)}], got {tuple(feature_BD.shape)}"
            )
        feature_BD = feature_BD.detach().to(self.mean_D)
        broken = int((~feature_BD.isfinite().all(1)).sum())
        if broken:
            raise ValueError(
                f"features{f' ({self.features})' if self.features else ''} of {broken} of "
                f"{len(feature_BD)} images are not finite"
            )
        if len(feature_BD):
            own = FeatureSums(len(self.mean_D), self.features, self.mean_D.device)
            own.count += len(feature_BD)
            own.mean_D = feature_BD.mean(0)
            left_BD = feature_BD - own.mean_D
            own.scatter_DD = left_BD.T @ left_BD
            self.merge(own)

    def merge(self, other: "FeatureSums") -> None:
        """Add the sums of other images."""
        count = other.count.to(self.count)
        if not count:
            return
        whole = self.count + count
        apart_D = other.mean_D.to(self.mean_D) - self.mean_D
        self.scatter_DD += other.scatter_DD.to(self.scatter_DD)
        self.scatter_DD += torch.outer(apart_D, apart_D) * (self.count * count / whole)
        self.mean_D += apart_D * (count / whole)
        self.count = whole

    def over_ranks(self, reduce: Reduce) -> "FeatureSums":
        """The sums over all ranks; every rank must call."""
        whole = FeatureSums(len(self.mean_D), self.features, self.mean_D.device)
        whole.count = reduce(self.count).to(self.count)
        total_D = reduce(self.mean_D * self.count).to(self.mean_D)
        whole.mean_D = total_D / whole.count.clamp(min=1)
        apart_D = self.mean_D - whole.mean_D
        own_DD = self.scatter_DD + self.count * torch.outer(apart_D, apart_D)
        whole.scatter_DD = reduce(own_DD).to(self.scatter_DD)
        return whole

    def gaussian(self) -> Gaussian:
        """Mean and unbiased covariance.

        Raises:
            ValueError: There are fewer than two images.
        """
        count = int(self.count.item())
        if count < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {count}")
        return Gaussian(
            self.mean_D.cpu(), self.scatter_DD.cpu() / (count - 1), count, self.features
        )


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Frechet distance of two Gaussians, squared (Dowson & Landau, 1982; FID: Heusel et al., 2017).

    |m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 tr((C_1 C_2)^(1/2)); the last trace is the sum of the
    singular values of C_1^(1/2) C_2^(1/2), which holds for singular covariances as well.

    Raises:
        ValueError: The features differ in kind or number, or a number is not finite.
    """
    for side in (one, other):
        if not (side.mean_D.isfinite().all() and side.covariance_DD.isfinite().all()):
            name = f" of {side.features}" if side.features else ""
            raise ValueError(f"mean or covariance{name} hold numbers that are not finite")
    if one.features and other.features and one.features != other.features:
        raise ValueError(f"features differ: {one.features} and {other.features}")
    if one.mean_D.shape != other.mean_D.shape:
        raise ValueError(f"features differ: {len(one.mean_D)} and {len(other.mean_D)} of them")
    root_DD = square_root(one.covariance_DD) @ square_root(other.covariance_DD)
    shared = torch.linalg.svdvals(root_DD).sum()
    apart = (one.mean_D - other.mean_D).square().sum()
    return (apart + one.covariance_DD.trace() + other.covariance_DD.trace() - 2 * shared).item()


def square_root(covariance_DD: Tensor) -> Tensor:
    """The symmetric square root; eigenvalues that rounding made negative count as 0."""
    value_D, vector_DD = torch.linalg.eigh(covariance_DD)
    return (vector_DD * value_D.clamp(min=0).sqrt()) @ vector_DD.T
