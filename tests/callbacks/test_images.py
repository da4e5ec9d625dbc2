import json

import numpy as np
import pytest
import torch
from lightning import LightningModule
from PIL import Image

from callbacks.images import CaptionImages, SampleImages, grid
from tests.fixtures.lmfusion_small_run import EMA, write_config, write_llama
from tests.fixtures.runs import fit


def callback(name, **options):
    """A callback as the command line takes it."""
    given = {"class_path": f"callbacks.images.{name}", "init_args": options}
    return f"--trainer.callbacks+={json.dumps(given)}"


def test_a_grid_holds_the_images_in_reading_order_on_white():
    images = np.stack([np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = np.asarray(grid(images, columns=2, scale=2, gap=1))
    assert sheet.shape == (2 * (2 + 1 + 2), 2 * (3 + 1 + 3), 3)
    assert (sheet[:4, :6] == 10).all()
    assert (sheet[:4, 8:] == 20).all()
    assert (sheet[6:, :6] == 30).all()
    assert (sheet[4:6] == 255).all()
    assert (sheet[6:, 8:] == 255).all()
    assert grid(images[:1], columns=8).size == (3, 2)


class CaptionSampler(LightningModule):
    def draw(self, captions):
        """Never called."""


def test_captions_may_be_in_the_file_that_predict_takes(tmp_path):
    (tmp_path / "a.txt").write_text("a red ring\n\na cat\n")
    (tmp_path / "b.jsonl").write_text('{"image": "x.png"}\n{"prompt": "a cat", "want": "both"}\n')
    (tmp_path / "c.jsonl").write_text('{"image": "x.png"}\n')

    def captions(name, stage):
        images = CaptionImages(str(tmp_path / name))
        images.setup(None, CaptionSampler(), stage)
        return images.captions

    assert captions("a.txt", "fit") == ["a red ring", "a cat"]
    assert captions("b.jsonl", "fit") == ["a cat"]
    captions("c.jsonl", "predict")  # nothing is drawn there
    with pytest.raises(ValueError, match=r"c\.jsonl holds no caption"):
        captions("c.jsonl", "fit")


def test_a_system_that_cannot_draw_is_refused_by_name():
    with pytest.raises(TypeError, match=r"LightningModule has no draw\(captions\)"):
        CaptionImages(["a"]).setup(None, LightningModule(), "fit")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampleImages(0), "num must be at least 1, got 0"),
        (lambda: SampleImages(4, columns=0), "got 4 captions, columns 0"),
        (lambda: CaptionImages([]), "at least one caption"),
    ],
)
def test_a_grid_without_images_or_columns_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_captions_are_drawn_after_every_validation_and_change_nothing(tmp_path, tokenizer_folder):
    config = write_config(tmp_path, write_llama(tmp_path / "llama"), tokenizer_folder)
    captions = callback("CaptionImages", captions=["a red ring", "", "a cat"], columns=2, scale=1)
    extra = [EMA, "--trainer.val_check_interval=2"]
    run = fit(config, *extra, captions)
    drawn = sorted((run / "samples").glob("*.png"))
    assert [path.name for path in drawn] == ["step_0000002.png", "step_0000004.png"]
    assert Image.open(drawn[0]).size == (66, 66)
    assert (run / "samples" / "captions.txt").read_text() == "a red ring\n\na cat\n"
    plain = fit(config, *extra)
    sampled, unsampled = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (run, plain)
    )
    assert all(torch.equal(sampled[name], unsampled[name]) for name in unsampled)


def test_samples_are_the_images_of_as_many_empty_captions(tmp_path, tokenizer_folder):
    config = write_config(tmp_path, write_llama(tmp_path / "llama"), tokenizer_folder)
    given = callback("SampleImages", num=3), callback("CaptionImages", captions=[""] * 3)
    samples, captions = (
        fit(config, "--trainer.val_check_interval=2", names) / "samples" for names in given
    )
    drawn = sorted(path.name for path in captions.glob("*.png"))
    assert drawn
    assert sorted(path.name for path in samples.iterdir()) == drawn
    assert all((samples / name).read_bytes() == (captions / name).read_bytes() for name in drawn)
