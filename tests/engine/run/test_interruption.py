"""Signals end a run after a whole step, errors lose none, and resumed runs are bit-identical."""

import json
import os
import signal

import pytest
import torch

from callbacks.report import Report
from callbacks.samples import TextSamples
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import fit, losses, newest_run, saved_every, write_config
from tests.test_resume import resume, same_checkpoint, steps

SMALL = "--data.init_args.batch_size=2"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def saved(run):
    return sorted(path.name for path in (run / "checkpoints").glob("step*.ckpt"))


def at_batch(monkeypatch, number, act, hook="training_step"):
    """Do something in a batch, counted from 0 since the process began."""
    honest, seen = getattr(CausalLM, hook), []

    def step(self, batch, batch_idx):
        seen.append(batch_idx)
        if len(seen) - 1 == number:
            act()
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(CausalLM, hook, step)


def send(signum, times=1):
    def act():
        for _ in range(times):
            os.kill(os.getpid(), signum)

    return act


def fail():
    raise RuntimeError("a worn-out disk")


@pytest.mark.parametrize(
    ("signum", "times", "code"),
    [
        (signal.SIGTERM, 1, 143),
        (signal.SIGINT, 1, 130),
        pytest.param(signal.SIGTERM, 2, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 2, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_run_behind_its_step(config, monkeypatch, capsys, signum, times, code):
    with monkeypatch.context() as patch:
        at_batch(patch, 2, send(signum, times))
        with pytest.raises(SystemExit) as stopped:
            fit(config)
    assert stopped.value.code == code
    run = newest_run(config)
    assert saved(run) == ["step_0000003.ckpt"]
    assert f"{signum.name} ended the run; step 3 is saved in" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("what", ["signal", "error"])
@pytest.mark.parametrize("batch", [17, 18, 19, 20])
def test_what_ends_a_run_around_an_epochs_end_loses_and_repeats_nothing(
    config, monkeypatch, accumulated, what, batch
):
    """An epoch has 19 batches of 2 rows; with 2 to a step, the last step has one."""
    parts = [f"--trainer.accumulate_grad_batches={accumulated}", SMALL]
    total = steps(24 // accumulated)
    whole = fit(config, total, *parts)
    with monkeypatch.context() as patch:
        at_batch(patch, batch, send(signal.SIGTERM) if what == "signal" else fail)
        with pytest.raises(SystemExit if what == "signal" else RuntimeError):
            fit(config, total, *parts)
    resumed = resume(config, newest_run(config), total, *parts)
    assert losses(resumed) == losses(whole)[-len(losses(resumed)) :]
    same_checkpoint(whole, resumed)
    epochs = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"]
        for run in (whole, resumed)
    ]
    assert epochs[0] == epochs[1]


def test_any_error_saves_the_last_whole_step_and_says_where(config, monkeypatch, capsys):
    parts = ["--trainer.accumulate_grad_batches=2", SMALL]
    at_batch(monkeypatch, 5, fail)  # within the third step
    with pytest.raises(RuntimeError, match="a worn-out disk"):
        fit(config, *parts)
    assert saved(newest_run(config)) == ["step_0000002.ckpt"]
    assert "RuntimeError ended the run; step 2 is saved in" in capsys.readouterr().out


@pytest.mark.slow
def test_an_error_in_a_callback_behind_a_step_saves_that_step(config, monkeypatch):
    whole = fit(config, steps(6))
    with monkeypatch.context() as patch:
        patch.setattr(Report, "_report", lambda *a: fail() if a[-1] == 3 else None)
        with pytest.raises(RuntimeError, match="worn-out"):
            fit(config, steps(6))
    assert saved(newest_run(config)) == ["step_0000003.ckpt"]
    same_checkpoint(whole, resume(config, newest_run(config), steps(6)))


@pytest.mark.slow
@pytest.mark.parametrize("is_saved", [False, True])
def test_an_optimizer_that_fails_within_its_step_leaves_the_checkpoint_before(
    config, monkeypatch, capsys, is_saved
):
    honest = torch.optim.AdamW.step

    def broken(self, closure=None):
        loss = honest(self, closure)
        if max(int(state["step"]) for state in self.state.values()) == 3:
            fail()
        return loss

    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    with pytest.raises(RuntimeError, match="worn-out"):
        fit(config, *([saved_every(2)] if is_saved else []))
    output = capsys.readouterr().out
    if is_saved:
        assert saved(newest_run(config)) == ["step_0000002.ckpt"]
        assert "RuntimeError ended the run; step 2 is in" in output
    else:
        assert not saved(newest_run(config))
        assert "it lies within an optimizer step, so the newest checkpoint stays: none" in output


@pytest.mark.slow
@pytest.mark.parametrize("what", ["signal", "error"])
def test_what_comes_in_validation_ends_it_and_saves_the_weights_that_are_trained(
    config, monkeypatch, what
):
    ema = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.9}}'
    parts = ["--trainer.val_check_interval=3", SMALL, ema]
    whole = fit(config, steps(6), *parts)
    batches = []
    with monkeypatch.context() as patch:
        at_batch(patch, 1, send(signal.SIGTERM) if what == "signal" else fail, "validation_step")
        honest = CausalLM.on_validation_epoch_end
        patch.setattr(
            CausalLM, "on_validation_epoch_end", lambda self: batches.append(1) or honest(self)
        )
        with pytest.raises(SystemExit if what == "signal" else RuntimeError):
            fit(config, steps(6), *parts)
    assert not batches, "the validation went on to its end"
    assert saved(newest_run(config)) == ["step_0000003.ckpt"]
    same_checkpoint(whole, resume(config, newest_run(config), steps(6), *parts))


@pytest.mark.slow
def test_a_signal_while_samples_are_drawn_ends_them(config, monkeypatch, capsys):
    samples = (
        '--trainer.callbacks+={"class_path": "callbacks.samples.TextSamples", '
        '"init_args": {"prompts": ["The"]}}'
    )
    honest = TextSamples.draw

    def draw(self, module):
        send(signal.SIGTERM)()
        return honest(self, module)

    monkeypatch.setattr(TextSamples, "draw", draw)
    with pytest.raises(SystemExit) as stopped:
        fit(config, "--trainer.val_check_interval=2", samples)
    assert stopped.value.code == 143
    assert "step 2 sample: left, the run is to end" in capsys.readouterr().out
    assert saved(newest_run(config)) == ["step_0000002.ckpt"]


@pytest.mark.slow
def test_a_checkpoint_behind_a_validation_within_a_step_is_of_the_step_before(config, monkeypatch):
    """Two batches a step, a validation after every third: the first lies within step 2."""
    parts = ["--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=3", SMALL]
    every = saved_every(1)
    monkeypatch.setattr(CausalLM, "learns_in_validation", True)
    whole = fit(config, steps(6), *parts, every)
    for number in (1, 2, 3):
        path = whole / "checkpoints" / f"step_{number:07d}.ckpt"
        held = torch.load(path, weights_only=True)
        assert held["TextData"]["loader"]["samples"] == 4 * number
        resumed = fit(config, f"--ckpt_path={path}", steps(6), *parts, every)
        same_checkpoint(whole, resumed)


@pytest.mark.slow
def test_a_checkpoint_of_lightnings_own_within_a_step_is_of_the_step_before(config):
    options = {"monitor": "validate/loss", "filename": "best", "every_n_epochs": 1}
    own = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": options | {"save_on_train_epoch_end": False},
    }
    parts = ["--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=3", SMALL]
    whole = fit(config, steps(6), *parts)
    first = fit(config, steps(2), *parts, f"--trainer.callbacks+={json.dumps(own)}")
    held = torch.load(first / "checkpoints" / "best.ckpt", weights_only=True)
    assert held["TextData"]["loader"]["samples"] == 4 * held["global_step"] == 4
    same_checkpoint(
        whole, fit(config, f"--ckpt_path={first / 'checkpoints' / 'best.ckpt'}", steps(6), *parts)
    )


@pytest.mark.slow
def test_a_resume_behind_the_last_step_is_refused_or_told(config, capsys):
    first = fit(config, steps(3))
    with pytest.raises((ValueError, SystemExit)):
        resume(config, first, steps(2))
    capsys.readouterr()
    resume(config, first, steps(3))
    assert "nothing was left to train: the weights are those of step 3" in capsys.readouterr().out
