"""A second callback of a kind that a run has once replaces the first."""

import json

import lightning as L
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar

from callbacks.ema import EMA
from callbacks.frozen import FrozenGuard
from callbacks.images import CaptionImages, SampleImages
from callbacks.moved import Moved
from callbacks.predictions import JsonLines
from callbacks.progress import StepBar
from callbacks.report import Report
from callbacks.samples import TextSamples
from callbacks.scores import Scores
from cli import main
from engine.run.every_n_steps import StepCheckpoints
from engine.run.repeated import last_of_each
from engine.run.trainer import Trainer
from tests.fixtures.runs import fit, write_config

PAIRS = [
    (EMA(), EMA(decay=0.5)),
    (FrozenGuard(), FrozenGuard()),
    (Moved(), Moved()),
    (CaptionImages(None), CaptionImages(["a cat"])),
    (CaptionImages(None), SampleImages(4)),
    (SampleImages(4), SampleImages(8)),
    (JsonLines(), JsonLines(show=0)),
    (StepBar(), StepBar()),
    (StepBar(), RichProgressBar()),
    (Report(), Report(count_flops=False)),
    (TextSamples(["a"]), TextSamples(["b"])),
    (Scores(), Scores()),
    (StepCheckpoints(), StepCheckpoints(every_n_steps=7, keep=2)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=[type(pair[1]).__name__ for pair in PAIRS])
def test_of_two_of_a_kind_the_last_stands_at_the_place_of_the_first(pair, capsys):
    between = L.Callback()
    trainer = Trainer(callbacks=[pair[0], between, pair[1]], accelerator="cpu", logger=False)
    assert not any(callback is pair[0] for callback in trainer.callbacks)
    assert any(callback is pair[1] for callback in trainer.callbacks)
    assert last_of_each([pair[0], between, pair[1]]) == [pair[1], between]
    assert "and a run has one: the last counts" in capsys.readouterr().out


def test_callbacks_of_which_a_run_may_have_several_all_stay(capsys):
    class Probe(Moved):
        may_repeat = True

    several = [
        *(EarlyStopping(name) for name in "ab"),
        *(ModelCheckpoint(monitor=name) for name in "ab"),
        *(Probe() for _ in "ab"),
        StepCheckpoints(),
    ]
    assert last_of_each(several) == several
    assert capsys.readouterr().out == ""


def test_a_checkpoint_callback_that_is_appended_changes_the_options_of_the_first(
    tmp_path, text_file, tokenizer_folder, capsys
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    second = {
        "class_path": "engine.run.every_n_steps.StepCheckpoints",
        "init_args": {"every_n_steps": 2},
    }
    run = fit(config, "--trainer.max_steps=5", f"--trainer.callbacks+={json.dumps(second)}")
    assert "trainer.callbacks gives StepCheckpoints twice" in capsys.readouterr().out
    names = sorted(path.name for path in (run / "checkpoints").glob("step*.ckpt"))
    assert names == ["step_0000002.ckpt", "step_0000004.ckpt", "step_0000005.ckpt"]
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    main(["fit", f"--config={run / 'config.yaml'}", last, "--trainer.max_steps=6"])
