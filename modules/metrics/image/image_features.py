"""What turns images into features for the Frechet distance.

Every extractor takes float RGB in [0, 1], [B, 3, H, W], and gives [B, D]. Shape legend: B =
images, H, W = their size, D = features.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_fid import inception  # type: ignore[import-untyped]
from torch import Tensor, nn
from torchvision.models import get_model  # type: ignore[import-untyped]
from typing_extensions import override

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class FeatureExtractor(nn.Module):
    """Frozen, in evaluation mode.

    Attributes:
        title: What the features are; kept beside statistics, so that no two kinds are compared.
    """

    title: str

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Features of images, [B, D]."""
        feature: Tensor = self.extract(image_BCHW)
        return feature.flatten(1)

    @abstractmethod
    def extract(self, image_BCHW: Tensor) -> Tensor:
        """The features, with trailing axes of size 1 where the network leaves some."""

    @override
    def train(self, mode: bool = True) -> "FeatureExtractor":
        return super().train(False)


class Inception(FeatureExtractor):
    """Inception as in pytorch-fid, whose distances are the published FID (Heusel et al., 2017).

    Args:
        weights: File of its weights, "pt_inception-2015-12-05-6726825d.pth"; fetched where None.
        size: Number of features: 64, 192, 768 or 2048, deeper as they grow.
    """

    def __init__(self, weights: Path | None = None, size: int = 2048):
        super().__init__()
        blocks = inception.InceptionV3.BLOCK_INDEX_BY_DIM
        if size not in blocks:
            raise ValueError(f"size must be one of {', '.join(map(str, blocks))}, got {size}")
        self.title = f"inception {size}"
        with fetching_nothing(weights):
            self.network = inception.InceptionV3([blocks[size]])
        self.eval()

    @override
    def extract(self, image_BCHW: Tensor) -> Tensor:
        feature: Tensor = self.network(image_BCHW)[0]
        return feature.mean((2, 3))


@contextmanager
def fetching_nothing(weights: Path | None) -> Iterator[None]:
    """Let pytorch-fid, which only knows a download, read a file instead."""
    if weights is None:
        yield
        return
    state = torch.load(existing(weights), map_location="cpu", weights_only=True)
    fetch = inception.load_state_dict_from_url
    inception.load_state_dict_from_url = lambda *_, **__: state
    try:
        yield
    finally:
        inception.load_state_dict_from_url = fetch


class Torchvision(FeatureExtractor):
    """What a classifier of torchvision shows its last linear layer.

    Args:
        model: Name in torchvision, such as "resnet50".
        weights: Name of its weights there, such as "DEFAULT", fetched; or a file of them.
        size: Height and width that images are resized to.
    """

    mean_311: Tensor
    std_311: Tensor

    def __init__(self, model: str, weights: str, size: int = 224):
        super().__init__()
        is_file = Path(weights).suffix in (".pt", ".pth", ".safetensors") or Path(weights).exists()
        self.title = f"{model} {Path(weights).name if is_file else weights}"
        self.network = get_model(model, weights=None if is_file else weights)
        if is_file:
            self.network.load_state_dict(read_weights(Path(weights)))
        last = [part for part in self.network.modules() if isinstance(part, nn.Linear)]
        if not last:
            raise ValueError(f"model: {model} ends in no linear layer")
        last[-1].register_forward_pre_hook(self._keep)
        self.size = size
        self.register_buffer("mean_311", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std_311", torch.tensor(IMAGENET_STD).view(3, 1, 1))
        self.eval()

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        self.kept_BD = inputs[0]

    @override
    def extract(self, image_BCHW: Tensor) -> Tensor:
        image_BCHW = resized(image_BCHW, self.size)
        self.network((image_BCHW - self.mean_311) / self.std_311)
        return self.kept_BD


class TorchScript(FeatureExtractor):
    """Any TorchScript module; of several results, the first are the features.

    Args:
        path: The file.
        size: Height and width that images are resized to; as they are where None.
    """

    def __init__(self, path: Path, size: int | None = None):
        super().__init__()
        self.network = torch.jit.load(str(existing(path)), map_location="cpu")
        self.title = "/".join(Path(path).absolute().parts[-2:])
        self.size = size
        self.eval()

    @override
    def extract(self, image_BCHW: Tensor) -> Tensor:
        result = self.network(resized(image_BCHW, self.size))
        feature: Tensor = result[0] if isinstance(result, tuple | list) else result
        return feature


def resized(image_BCHW: Tensor, size: int | None) -> Tensor:
    """Images at another size, bilinear and without aliasing."""
    if size is None or image_BCHW.shape[-2:] == (size, size):
        return image_BCHW
    return F.interpolate(image_BCHW, (size, size), mode="bilinear", antialias=True)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict, from torch's or the safetensors format."""
    if existing(path).suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def existing(path: Path) -> Path:
    """The path of a file that is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights at {path}")
    return Path(path)
