"""Frechet distance between features of pictures. Shape legend: B = pictures, D = features."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modules.metrics.meter import Reduce


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of features, float64 on the CPU.

    Attributes:
        mean_D: Mean.
        covariance_DD: Covariance, divided by the number of pictures less one.
        count: Pictures behind it; 0 where a file does not say.
        features: What the features are; distances are only taken between the same.
    """

    mean_D: Tensor
    covariance_DD: Tensor
    count: int = 0
    features: str = ""

    def save(self, path: Path) -> None:
        """Write an .npz file that pytorch-fid reads as well; an old one stays until it is whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                mu=self.mean_D.numpy(),
                sigma=self.covariance_DD.numpy(),
                count=self.count,
                features=self.features,
            )
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> "Gaussian":
        """Read what `save` or pytorch-fid wrote.

        Raises:
            ValueError: The file lacks a mean or a covariance, or their sizes differ.
        """
        with np.load(path, allow_pickle=False) as file:
            missing = {"mu", "sigma"} - set(file.files)
            if missing:
                raise ValueError(f"{path}: no {' and no '.join(sorted(missing))}")
            mean, covariance = (torch.from_numpy(file[key]).double() for key in ("mu", "sigma"))
            if covariance.shape != (len(mean), len(mean)):
                raise ValueError(
                    f"{path}: mu has {len(mean)} features, sigma {tuple(covariance.shape)}"
                )
            count = int(file["count"]) if "count" in file.files else 0
            features = str(file["features"]) if "features" in file.files else ""
        return Gaussian(mean, covariance, count, features)


class FeatureSums:
    """Count, sum and sum of outer products of features, which can be added up in any order.

    Args:
        size: Number of features, D.
        features: What they are; it travels with the statistics.
        device: Where the sums are kept, in float64.
    """

    def __init__(self, size: int, features: str = "", device: torch.device | str = "cpu"):
        self.features = features
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.total_D = torch.zeros(size, dtype=torch.float64, device=device)
        self.outer_DD = torch.zeros(size, size, dtype=torch.float64, device=device)

    def add(self, feature_BD: Tensor) -> None:
        """Add the features of some pictures; their graph is not kept.

        Raises:
            ValueError: Their number differs.
        """
        if feature_BD.ndim != 2 or feature_BD.shape[1] != len(self.total_D):
            raise ValueError(
                f"features must be [B, {len(self.total_D)}], got {tuple(feature_BD.shape)}"
            )
        feature_BD = feature_BD.detach().to(self.total_D)
        self.count += len(feature_BD)
        self.total_D += feature_BD.sum(0)
        self.outer_DD += feature_BD.T @ feature_BD

    def merge(self, other: "FeatureSums") -> None:
        """Add the sums of other pictures."""
        self.count += other.count.to(self.count)
        self.total_D += other.total_D.to(self.total_D)
        self.outer_DD += other.outer_DD.to(self.outer_DD)

    def over_ranks(self, reduce: Reduce) -> "FeatureSums":
        """The sums over all ranks; every rank must call."""
        whole = FeatureSums(len(self.total_D), self.features, self.total_D.device)
        for name in ("count", "total_D", "outer_DD"):
            setattr(whole, name, reduce(getattr(self, name)).to(self.total_D))
        return whole

    def gaussian(self) -> Gaussian:
        """Mean and unbiased covariance.

        Raises:
            ValueError: There are fewer than two pictures.
        """
        count = int(self.count.item())
        if count < 2:
            raise ValueError(f"a covariance needs at least 2 pictures, got {count}")
        mean_D = (self.total_D / count).cpu()
        scatter_DD = self.outer_DD.cpu() - count * torch.outer(mean_D, mean_D)
        return Gaussian(mean_D, scatter_DD / (count - 1), count, self.features)


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Frechet distance of two Gaussians, squared (Dowson & Landau, 1982; FID: Heusel et al., 2017).

    |m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 tr((C_1 C_2)^(1/2)); the last trace is the sum of the
    singular values of C_1^(1/2) C_2^(1/2), which holds for singular covariances as well.

    Raises:
        ValueError: The features differ in kind or number.
    """
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
