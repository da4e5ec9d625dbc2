"""Which images are compared, and whether a file of statistics belongs to them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from modules.metrics.image.frechet import Gaussian
from modules.metrics.image.frechet_metric import FrechetMetric, Reference, reference

CPU = torch.device("cpu")


class Mixed(torch.nn.Module):
    """Three features of an image, by random weights from a seed."""

    title = "mixed 3"

    def __init__(self, seed=0):
        super().__init__()
        weight = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("weight", weight)

    def forward(self, image_NCHW):
        return image_NCHW.flatten(1) @ self.weight


def images(seed, num=20):
    return torch.rand(num, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def distance(path, real, source="mnist", is_whole=True, seed=0):
    """The distance of generated images to reference images named `source`."""
    frechet = FrechetMetric(lambda: Mixed(seed), str(path), CPU, Reference(source, is_whole))
    frechet.add(images(1), real)
    return frechet.distance(lambda value: value)


def test_a_whole_test_keeps_its_statistics_and_the_next_one_uses_them(tmp_path):
    path = tmp_path / "real.npz"
    first = distance(path, images(2))
    assert Gaussian.load(path).count == 20
    assert distance(path, images(3)) == pytest.approx(first)  # as they are declared the same


def test_a_limited_test_writes_nothing_and_may_use_what_is_there(tmp_path):
    path = tmp_path / "real.npz"
    assert distance(path, images(2, 5), is_whole=False) > 0
    assert not path.exists()
    whole = distance(path, images(2))
    assert distance(path, images(2, 5), is_whole=False) == pytest.approx(whole)


@pytest.mark.parametrize("change", [{"source": "cifar"}, {"seed": 1}])
def test_statistics_of_other_images_or_features_are_refused_and_kept(tmp_path, change):
    path = tmp_path / "real.npz"
    distance(path, images(2))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"real\.npz holds statistics of other images or feat"):
        distance(path, images(3), **change)
    assert path.read_bytes() == before


def test_files_of_earlier_versions_are_refused_and_those_of_pytorch_fid_are_not(tmp_path):
    path = tmp_path / "real.npz"
    Gaussian(torch.zeros(3), torch.eye(3), 25, "mixed 3").save(path)
    with pytest.raises(ValueError, match="does not say of which"):
        distance(path, images(2))
    Gaussian(torch.zeros(3), torch.eye(3), 25, "other").save(path)
    with pytest.raises(ValueError, match="of features other, not mixed 3"):
        distance(path, images(2))
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3))
    assert distance(path, images(2)) > 0


@pytest.mark.parametrize(
    ("limit", "fast", "is_whole"),
    [(1.0, False, True), (0.5, False, False), (3, False, False), (1, 1, False), (1.0, 1, False)],
)
def test_a_reference_is_the_data_the_codec_and_whether_all_is_read(limit, fast, is_whole):
    data = SimpleNamespace(fingerprint=lambda stage: f"data of {stage}")
    trainer = SimpleNamespace(datamodule=data, limit_test_batches=limit, fast_dev_run=fast)
    built = reference(trainer, "codec")
    assert built == Reference('["data of test", "codec"]', is_whole)
    trainer.datamodule = None
    assert reference(trainer).source == ""
