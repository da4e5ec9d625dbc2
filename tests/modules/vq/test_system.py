"""VQ-VAE trained for a few steps through the command line."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import yaml

from cli import main
from modules.codec_lm.codes.vq import VqCodec
from modules.vq.network import VQNetwork
from modules.vq.system import VQVAE, as_uint8
from tests.fixtures.runs import fit, fit_on_ranks, losses, metrics, weights

pytest.importorskip("sklearn")
SIZES = {"size": 8, "channels": 1, "num_codes": 16, "code_size": 4, "width": 8, "num_blocks": 1}
TENSORS = ("code_KD", "count_K", "sum_KD", "has_begun")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Digits of 8 x 8 pixels, 2 x 2 codes each; dead codes are revived."""
    folder = tmp_path_factory.mktemp("vq")
    network = {"class_path": "modules.vq.network.VQNetwork", "init_args": {**SIZES, "decay": 0.8}}
    digits = [{"class_path": "datamodules.images.digits.Digits", "init_args": {"split": "test"}}]
    data = {"train": digits, "validate": digits, "test": digits, "size": 8, "channels": 1}
    options = {"network": network, "free_steps": 3}
    options["optimizer"] = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.03}}
    logger = {
        "class_path": "engine.run.logger.RunLogger",
        "init_args": {"root": str(folder / "runs"), "tensorboard": False},
    }
    config = {
        "model": {"class_path": "modules.vq.system.VQVAE", "init_args": options},
        "data": {
            "class_path": "datamodules.images.datamodule.ImageData",
            "init_args": {**data, "batch_size": 16, "num_samples": 3},
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "max_steps": 4,
            "log_every_n_steps": 1,
            "logger": logger,
        },
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def begun(config):
    """A run of four steps; only the last of them has a codebook."""
    return fit(config)


def resume(config, run, *extra):
    return fit(config, "--trainer.max_steps=6", f"--ckpt_path={run}/checkpoints/last.ckpt", *extra)


def test_a_resumed_run_is_the_one_that_never_stopped(config, begun):
    resumed, whole = resume(config, begun), fit(config, "--trainer.max_steps=6")
    assert losses(resumed) == losses(whole)[4:]
    a, b = weights(resumed), weights(whole)
    assert {f"network.quantiser.{name}" for name in TENSORS} < a.keys()
    assert all(torch.equal(a[name], value) for name, value in b.items())


def test_the_codebook_begins_after_the_free_steps(config, begun):
    assert ["train/commitment" in row for row in metrics(begun)] == [False] * 3 + [True]
    assert metrics(begun)[3]["train/perplexity"] > 2
    assert bool(weights(begun)["network.quantiser.has_begun"])


def check_same(run, other):
    assert losses(other) == pytest.approx(losses(run), rel=1e-5)
    for name, value in weights(run).items():
        torch.testing.assert_close(weights(other)[name], value, rtol=1e-3, atol=1e-5)


STILL = "--model.init_args.network.init_args.revive_below=0"
"""What comes to life depends on which micro-batches there are."""


def test_a_step_in_parts_moves_the_codebook_as_a_whole_one_does(config, begun):
    parts = ["--data.init_args.batch_size=4", "--trainer.accumulate_grad_batches=4"]
    check_same(resume(config, begun, STILL), resume(config, begun, STILL, *parts))


@pytest.mark.slow
def test_two_ranks_move_the_codebook_as_one_does(config, begun):
    last = f"--ckpt_path={begun}/checkpoints/last.ckpt"
    halves = ["--data.init_args.batch_size=8", "--trainer.strategy=ddp", "--trainer.max_steps=6"]
    check_same(resume(config, begun, STILL), fit_on_ranks(config, 2, last, STILL, *halves))


@pytest.mark.slow
def test_two_ranks_agree_on_where_codes_begin_and_come_to_life(config):
    halves = ["--data.init_args.batch_size=8", "--trainer.strategy=ddp", "--trainer.max_steps=6"]
    share = "--model.init_args.network.init_args.revive_below=0.5"
    run = fit_on_ranks(config, 2, share, *halves)
    assert any(row.get("train/revived") for row in metrics(run))
    codes = weights(run)["network.quantiser.code_KD"]
    assert len(codes.unique(dim=0)) == len(codes)


def test_each_rank_gives_vectors_for_its_share_of_the_codes():
    system = VQVAE(partial(VQNetwork, **SIZES))
    system.configure_model()
    vectors, candidates = torch.randn(50, 4), []
    for rank in range(3):
        type(system).data_rank, type(system).num_ranks = rank, 3  # type: ignore[assignment]
        candidates.append(system.candidates(vectors))
    del type(system).data_rank, type(system).num_ranks
    owner = torch.stack([candidate.abs().sum(1) > 0 for candidate in candidates])
    assert torch.equal(owner.sum(0), torch.ones(16, dtype=torch.long))
    assert torch.equal(owner.int().argmax(0), torch.arange(16) % 3)
    for code in sum(candidates).float():
        assert (vectors - code).abs().sum(1).min() == 0


def test_the_test_counts_every_image_and_code_once(config, begun, capsys):
    main(["test", f"--config={config}", f"--ckpt_path={begun}/checkpoints/last.ckpt"])
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines() if "test/" in line)
    codec = VqCodec(f"{begun}/checkpoints/last.ckpt")
    from datamodules.images.digits import Digits

    source = Digits("test")
    images = [source.sample(n, None).image[:, :, 0] for n in range(len(source))]
    codes = np.stack([codec.encode(image) for image in images])
    shown = np.stack([codec.show(code) for code in codes])
    error = ((shown / 255.0 - np.stack(images) / 255.0) ** 2).mean()
    assert float(printed["test/mse"]) == pytest.approx(error, rel=0.01)
    assert float(printed["test/psnr"]) == pytest.approx(-10 * np.log10(error), rel=0.01)
    shares = np.bincount(codes.flatten(), minlength=16) / codes.size
    assert float(printed["test/used"]) == pytest.approx((shares > 0).mean())
    wanted = np.exp(-sum(p * np.log(p) for p in shares if p))
    assert float(printed["test/perplexity"]) == pytest.approx(wanted, rel=1e-3)


def test_an_exported_folder_codes_as_the_checkpoint_does(config, begun, tmp_path):
    last = f"{begun}/checkpoints/last.ckpt"
    main(["export", f"--config={config}", f"--ckpt_path={last}", f"--folder={tmp_path / 'out'}"])
    a, b = VqCodec(last), VqCodec(str(tmp_path / "out"))
    assert a.fingerprint() == b.fingerprint()
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    assert np.array_equal(a.encode(image), b.encode(image))


def test_predictions_are_test_images_and_what_their_codes_show(config, begun):
    main(["predict", f"--config={config}", f"--ckpt_path={begun}/checkpoints/last.ckpt"])
    (file,) = begun.parent.glob("*/predictions.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["prompt"] for record in records] == [f"digits:test:{n + 1}" for n in range(3)]
    assert all(len(record["codes"]) == 4 for record in records)


def test_drawn_images_stand_beside_what_their_codes_show():
    system = VQVAE(partial(VQNetwork, **SIZES))
    system.configure_model()
    assert system.draw([""] * 4).shape == (1, 8, 8, 3)
    pixels = torch.rand(3, 1, 8, 8) * 2 - 1
    system.evaluation = torch.zeros(19, dtype=torch.float64)
    batch = {"pixel_BCHW": pixels, "num_targets": 3, "row_B": [0, 1, 2], "origin": [""] * 3}
    system.validation_step(batch, 0)
    drawn = system.draw([""] * 5)
    assert drawn.shape == (5, 8, 8, 3)
    assert torch.equal(drawn[2], as_uint8(pixels)[1])
