"""How near new images are to those of the test: the Frechet distance over any features.

Shape legend: N = images, C, H, W = channels, height and width.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from modules.metrics.image.frechet_metric import FrechetMetric, Reference
from modules.metrics.meter import Reduce


class FileMetrics:
    """What the test measures beside losses; the features are the user's.

    Args:
        features: Builds what turns images into features, such as
            `modules.metrics.image.image_features.Inception`.
        statistics: An .npz file with mean and covariance of real images' features, pytorch-fid's
            or one of ours; written after a whole test where it is not there, and refused where it
            is of other images, codec or features. Where None, the test's own files as the codec
            shows them are taken, all of them: equally compressed images.
        num: How many new images are drawn, over all ranks.
        batch_size: How many side by side.

    Raises:
        ValueError: A number is below its least.
    """

    def __init__(
        self,
        features: Callable[[], nn.Module],
        statistics: str | None = None,
        num: int = 1000,
        batch_size: int = 100,
    ):
        for name, value, least in (("num", num, 2), ("batch_size", batch_size, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        self.features = features
        self.statistics = statistics
        self.num = num
        self.batch_size = batch_size

    def begin(self, device: torch.device, real: Reference | None = None) -> FrechetMetric:
        """A test that is about to run; reads the features' weights.

        Args:
            device: Where features are computed.
            real: Which images are the real ones.
        """
        return FrechetMetric(self.features, self.statistics, device, real)

    def batches(self, num_ranks: int) -> list[int]:
        """How many images each batch of a rank draws; the same on every rank."""
        own = -(-self.num // num_ranks)
        return [min(self.batch_size, own - at) for at in range(0, own, self.batch_size)]


def num_references(frechet: FrechetMetric, reduce: Reduce) -> int:
    """How many real images drawn ones are held against; 0 where a file of them does not say.

    Args:
        frechet: Of all images.
        reduce: Sums over ranks; every rank must call.
    """
    if frechet.known is not None:
        return frechet.known.count
    own = torch.zeros(()) if frechet.real is None else frechet.real.count
    return int(reduce(own).item())


def as_images(image_NHWC: Tensor) -> Tensor:
    """Bytes as RGB in [0, 1], [N, C, H, W]."""
    return image_NHWC.permute(0, 3, 1, 2).float() / 255
