"""New images against those of the test."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch

from modules.codec_lm.evaluate import FileMetrics, as_images, num_references
from modules.metrics.image.frechet import Gaussian, frechet_distance
from tests.modules.codec_lm.jpeg.test_grammar import image
from tests.modules.codec_lm.test_generate import CODEC, system, tokenizer_of_files  # noqa: F401


class Corners(torch.nn.Module):
    """Brightness at three positions."""

    title = "corners"

    def forward(self, image_NCHW):
        return image_NCHW[:, 0, (0, 5, 15), (0, 9, 15)]


def rows(system, texts):  # noqa: F811
    """Two whole files and a prefix of a third in one row."""
    end = system.rules.end
    token, label, position, length = [], [], [], []
    for number, text in enumerate(texts):
        ids = [end, *system.tokenizer.encode(text, add_special_tokens=False), end]
        ids = ids[:-20] if number == len(texts) - 1 else ids
        token += ids
        label += [*ids[1:], -100]
        position += range(len(ids))
        length.append(len(ids))
    return {
        "token_BL": torch.tensor([token]),
        "label_BL": torch.tensor([label]),
        "position_BL": torch.tensor([position]),
        "length_N": length,
        "num_targets": sum(target >= 0 for target in label),
        "step_targets": 1,
        "num_bytes": 1.0,
    }


def moments(images):
    features = Corners()(as_images(images)).double().numpy()
    return Gaussian(torch.tensor(features.mean(0)), torch.tensor(np.cov(features.T)))


def test_the_distance_is_that_of_drawn_images_to_whole_test_files(system, monkeypatch):  # noqa: F811
    rng = np.random.default_rng(0)
    shown = [image(CODEC, rng) for _ in range(7)]
    drawn = torch.from_numpy(rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8))
    left = [
        {"continuation": continuation, "opens": bool(n % 3)} for n, continuation in enumerate(drawn)
    ]
    system.test_metrics = FileMetrics(Corners, num=5, batch_size=3)
    monkeypatch.setattr(system, "new", lambda num, *_: [left.pop(0) for _ in range(num)])
    texts = [CODEC.text(pixels) for pixels in shown]
    batches = [rows(system, texts[:4]), rows(system, texts[4:])]
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.test(system, loader, verbose=False)
    logged = trainer.callback_metrics
    whole = [n for n in range(7) if n not in (3, 6)]
    images = np.stack([CODEC.decode(CODEC.encode(shown[n])) for n in whole])
    real = torch.from_numpy(np.repeat(images[..., None], 3, axis=3))
    wanted = frechet_distance(moments(drawn), moments(real))
    assert float(logged["test/frechet"]) == pytest.approx(wanted, rel=1e-4)
    assert logged["test/frechet_images"] == 5
    assert logged["test/frechet_unopened"] == 2
    assert logged["test/frechet_references"] == len(whole)


@pytest.mark.parametrize(("known", "num"), [({"count": 70}, 70), ({}, 0)])
def test_a_file_of_real_images_says_how_many_they_were_if_it_can(tmp_path, known, num):
    path = tmp_path / "real.npz"
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3), **known)
    frechet = FileMetrics(Corners, str(path)).begin(torch.device("cpu"))
    assert num_references(frechet, lambda value: value) == num


def test_ranks_share_the_drawing():
    test_metrics = FileMetrics(Corners, num=10, batch_size=4)
    assert test_metrics.batches(1) == [4, 4, 2]
    assert test_metrics.batches(3) == [4]


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="num must be at least 2, got 1"):
        FileMetrics(Corners, num=1)


def test_sums_over_ranks_leave_what_each_rank_has(system, monkeypatch):  # noqa: F811
    sampler = {"num_replicas": 2}
    strategy = SimpleNamespace(
        reduce=lambda value, reduce_op: value.mul_(2), distributed_sampler_kwargs=sampler
    )
    monkeypatch.setattr(type(system), "trainer", SimpleNamespace(strategy=strategy))
    own = torch.ones(3, dtype=torch.float64)
    assert system.sum_over_ranks(own).tolist() == [2, 2, 2]
    assert own.tolist() == [1, 1, 1]
