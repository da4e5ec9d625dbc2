"""Test metrics: the Frechet distance of generated images to the test images, over any features.

Shape legend: N = images; C, H, W = channels, height and width.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from modules.metrics.image.frechet_metric import FrechetMetric, Reference
from modules.metrics.meter import Reduce


class FileMetrics:
    """Options of the Frechet distance that the test measures besides losses.

    Args:
        features: Builds the feature extractor, such as
            `modules.metrics.image.image_features.Inception`.
        statistics: An .npz file with mean and covariance of the reference features, in the format
            of pytorch-fid or ours. Written after a complete test if it does not exist; refused if
            it belongs to other images, another codec or other features. If None, the reference is
            all test files as the codec decodes them: equally compressed images.
        num: Images to generate, over all ranks.
        batch_size: Images to generate at a time, on each rank.

    Raises:
        ValueError: `num` is below 2, or `batch_size` below 1.
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
        """Start a test; reads the weights of the feature extractor.

        Args:
            device: Where features are computed.
            real: What identifies the reference images.
        """
        return FrechetMetric(self.features, self.statistics, device, real)

    def batches(self, num_ranks: int) -> list[int]:
        """Images of each batch that a rank generates; the same on every rank."""
        own = -(-self.num // num_ranks)
        return [min(self.batch_size, own - at) for at in range(0, own, self.batch_size)]


def num_references(frechet: FrechetMetric, reduce: Reduce) -> int:
    """Number of reference images; 0 if the statistics file does not record it.

    Args:
        frechet: The metric, after all batches.
        reduce: Sums over ranks; every rank must call.
    """
    if frechet.known is not None:
        return frechet.known.count
    own = torch.zeros(()) if frechet.real is None else frechet.real.count
    return int(reduce(own).item())


def as_images(image_NHWC: Tensor) -> Tensor:
    """uint8 images as RGB in [0, 1], [N, C, H, W]."""
    return image_NHWC.permute(0, 3, 1, 2).float() / 255
