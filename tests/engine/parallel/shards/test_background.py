"""Saves beside the training: it goes on meanwhile; kills and faults cost no older checkpoint."""

import os
import signal
import threading

import pytest
import torch

from callbacks.report import Report
from engine.checkpoint.manifest import verify
from engine.parallel.shards import writing
from tests.fixtures.runs import ended, saved_every, start_in_turn, write_config

pytestmark = pytest.mark.slow

STRATEGY = (
    "--config=configs/strategy/fsdp2.yaml",
    "--trainer.strategy.init_args.save_sharded=true",
    "--trainer.strategy.init_args.save_async=true",
    "--data.init_args.batch_size=2",
    saved_every(2),
)
OLD = (
    "{class_path: engine.run.every_n_steps.StepCheckpoints, init_args: {every_n_steps: 2, keep: 1}}"
)


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def trained(config, world, *more):
    """Exit codes, what the first rank printed, and the checkpoints of a run."""
    command = ["fit", f"--config={config}", *STRATEGY, *more]
    codes, logs = ended(*start_in_turn(config.parent, world, [command]))
    runs = config.parent.parent / "runs" / "tiny" / "lines"
    newest = max(runs.iterdir(), key=lambda run: int(run.name))
    return codes, logs[0], newest / "checkpoints"


@pytest.fixture
def second_save(monkeypatch):
    """Has every save of a rank but its first do something once the shards are written."""
    original = writing.save_shards

    def install(what):
        saves = []

        def save(state, draft, group):
            original(state, draft, group)
            saves.append(draft)
            if len(saves) >= 2:
                what()

        monkeypatch.setattr(writing, "save_shards", save)

    return install


def test_steps_are_trained_while_a_folder_is_written(config, monkeypatch):
    """The first save ends only when the next step has been trained; the old folder goes last."""
    original, trained_on = writing.save_shards, threading.Event()
    heard = Report.on_train_batch_end

    def save(state, draft, group):
        assert trained_on.wait(60), "the training waited for the save"
        original(state, draft, group)

    def note(self, trainer, *args):
        heard(self, trainer, *args)
        if trainer.global_step == 3:
            trained_on.set()

    monkeypatch.setattr(writing, "save_shards", save)
    monkeypatch.setattr(Report, "on_train_batch_end", note)
    codes, log, folder = trained(config, 1, f"--trainer.callbacks+={OLD}")
    assert codes == [0], log
    assert {path.name for path in folder.iterdir()} == {"step_0000004.ckpt", "last.ckpt"}
    assert (folder / "last.ckpt").resolve().name == "step_0000004.ckpt"
    verify(folder / "last.ckpt")
    weights = torch.load(folder / "step_0000004.ckpt" / "meta.pt", weights_only=True)
    assert weights["global_step"] == 4


def test_a_kill_while_a_folder_is_written_leaves_the_one_before(config, second_save, monkeypatch):
    second_save(lambda: os.kill(os.getpid(), signal.SIGKILL))
    codes, _, folder = trained(config, 2)
    assert -signal.SIGKILL in codes
    assert (folder / "last.ckpt").resolve().name == "step_0000002.ckpt"
    verify(folder / "last.ckpt")
    monkeypatch.undo()
    codes, log, continued = trained(config, 2, "--ckpt_path=last")
    assert codes == [0, 0], log
    assert f"weights: {folder}/step_0000002.ckpt, step 2" in log
    assert not [path for path in folder.iterdir() if ".draft." in path.name]
    verify(continued / "last.ckpt")


def test_a_save_that_fails_meanwhile_ends_the_run_and_says_why(config, second_save):
    def full():
        raise OSError(28, "No space left on device")

    second_save(full)
    codes, log, folder = trained(config, 1)
    assert codes != [0]
    assert "could not be saved: No space left on device; older checkpoints stay as they are" in log
    assert (folder / "last.ckpt").resolve().name == "step_0000002.ckpt"
    verify(folder / "step_0000002.ckpt")
