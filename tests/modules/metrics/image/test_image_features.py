import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pytorch_fid import inception
from torch import nn
from torchvision.models import get_model

from modules.metrics.image.image_features import Inception, TorchScript, Torchvision, resized

MODELS = Path(os.environ.get("TRAINER_MODELS", "models"))


class Halves(nn.Module):
    """Two results, as the CIFAR extractors give."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return image.mean([2, 3]), image.sum([1, 2, 3])


def images(size: int, num: int = 2) -> torch.Tensor:
    return torch.rand(num, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory) -> Path:
    """Random weights in the format of the published ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        network = inception.fid_inception_v3()
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def test_inception_is_the_references_network_up_to_its_classifier(inception_file, monkeypatch):
    made = Inception(inception_file)
    state = torch.load(inception_file)
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: state)
    whole = inception.fid_inception_v3().eval()
    seen = []
    whole.fc.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    image = images(32, 1)
    with torch.no_grad():
        whole(2 * F.interpolate(image, (299, 299), mode="bilinear") - 1)
    torch.testing.assert_close(made(image), seen[0])
    assert made(image).shape == (1, 2048)


def test_pytorch_fid_is_left_as_it_was(inception_file):
    fetch = inception.load_state_dict_from_url
    Inception(inception_file, 64)
    assert inception.load_state_dict_from_url is fetch


def test_shallower_features_of_inception_are_averaged_over_places(inception_file):
    made = Inception(inception_file, 64)
    image = images(32)
    x = made.network.blocks[0](2 * F.interpolate(image, (299, 299), mode="bilinear") - 1)
    torch.testing.assert_close(made(image), x.mean((2, 3)))
    assert made.title == "inception 64"


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_torchvision_model_gives_what_its_last_layer_sees(name, tmp_path):
    torch.manual_seed(0)
    network = get_model(name, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    made = Torchvision(name, str(tmp_path / "mine.pth"), size=64)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    image = images(64)
    last = network.fc if name == "resnet18" else network.classifier[-1]
    torch.testing.assert_close(last(made(image)), network((image - mean) / std))
    assert made.title == f"{name} mine.pth"
    assert made(images(32)).shape == made(image).shape


def test_the_first_result_of_a_script_is_its_features(tmp_path):
    torch.jit.script(Halves()).save(str(tmp_path / "features.ts"))
    image = images(8)
    made = TorchScript(tmp_path / "features.ts")
    torch.testing.assert_close(made(image), image.mean((2, 3)))
    assert made.title.endswith("features.ts")
    bigger = TorchScript(tmp_path / "features.ts", size=16)
    torch.testing.assert_close(bigger(image), resized(image, 16).mean((2, 3)))


@pytest.mark.skipif(not (MODELS / "cifar_resnet56").exists(), reason="no CIFAR extractor here")
def test_the_cifar_extractor_gives_64_features_of_pixels():
    made = TorchScript(MODELS / "cifar_resnet56" / "features.ts")
    assert made(images(32)).shape == (2, 64)
    assert made.title == "cifar_resnet56/features.ts"


def test_extractors_stay_frozen_in_evaluation_mode(tmp_path):
    torch.save(get_model("resnet18", weights=None).state_dict(), tmp_path / "mine.pth")
    made = Torchvision("resnet18", str(tmp_path / "mine.pth"), size=32)
    made.train()
    assert not made.network.training
    assert not made(images(32)).requires_grad


def test_missing_weights_and_sizes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.ts"):
        TorchScript(tmp_path / "none.ts")
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        Torchvision("resnet18", str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="64, 192, 768, 2048, got 100"):
        Inception(size=100)
