import os
import signal

import pytest
import torch

from callbacks.report import Report
from cli import main
from tests.fixtures.runs import (
    fit,
    fit_on_ranks,
    losses,
    metrics,
    newest_run,
    refused,
    weights,
    write_config,
)

EMA = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.9}}'


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def steps(number):
    return f"--trainer.max_steps={number}"


def same_checkpoint(first, second):
    """Weights, optimizer, scheduler, averages and position in the data, bit for bit."""
    a, b = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (first, second)
    )
    for key in ("state_dict", "optimizer_states", "ema", "TextData"):
        torch.testing.assert_close(a.get(key), b.get(key), rtol=0, atol=0)
    assert a["lr_schedulers"] == b["lr_schedulers"]


def resume(config, first, *extra):
    return fit(config, f"--ckpt_path={first / 'checkpoints' / 'last.ckpt'}", *extra)


@pytest.mark.parametrize("k", [4, 9, 13], ids=["mid-epoch", "boundary", "second epoch"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_is_the_uninterrupted_one(config, k, workers):
    extra = [EMA, f"--data.init_args.num_workers={workers}"]
    whole = fit(config, steps(16), *extra)
    resumed = resume(config, fit(config, steps(k), *extra), steps(16), *extra)
    assert losses(resumed) == losses(whole)[k:]
    same_checkpoint(whole, resumed)


def test_a_resumed_run_with_accumulation_is_the_uninterrupted_one(config):
    extra = ["--trainer.accumulate_grad_batches=3", "--data.init_args.batch_size=2"]
    whole = fit(config, steps(9), *extra)
    resumed = resume(config, fit(config, steps(4), *extra), steps(9), *extra)
    assert losses(resumed) == losses(whole)[4:]
    same_checkpoint(whole, resumed)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_resumed_run_on_two_ranks_is_the_uninterrupted_one(config, strategy):
    validate = "--trainer.val_check_interval=2"
    extra = [f"--config=configs/strategy/{strategy}.yaml", "--data.init_args.batch_size=2", EMA]
    extra += [validate]
    whole = fit_on_ranks(config, 2, *extra, steps(6))
    first = fit_on_ranks(config, 2, *extra, steps(3))
    last = f"--ckpt_path={first / 'checkpoints' / 'last.ckpt'}"
    resumed = fit_on_ranks(config, 2, *extra, steps(6), last)
    assert losses(resumed) == losses(whole)[3:]
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name


def test_the_config_wins_over_the_checkpoints_learning_rate(config):
    first = fit(config)
    key = "--model.init_args.optimizer.init_args.lr"
    kept = metrics(resume(config, first, steps(5)))[0]["learning_rate"]
    changed = metrics(resume(config, first, steps(5), f"{key}=0.02"))[0]["learning_rate"]
    assert changed == pytest.approx(2 * kept)


def test_the_word_last_finds_the_newest_checkpoint(config):
    first = fit(config)
    resumed = fit(config, "--ckpt_path=last", steps(6))
    assert [row["step"] for row in metrics(resumed)] == [5, 6]
    assert resumed != first


def test_a_saved_config_runs_the_same(config):
    first = fit(config)
    main(["fit", f"--config={first / 'config.yaml'}"])
    again = newest_run(config)
    assert again != first
    assert losses(again) == losses(first)


def test_a_checkpoint_of_another_model_is_refused(config):
    first = fit(config)
    key = "--model.init_args.network.init_args.options"
    with refused(r"\.ckpt is the checkpoint of another model.*other shape"):
        resume(config, first, f"{key}.intermediate_size=48")
    with refused(r"another model.*missing.*layers.2"):
        resume(config, first, f"{key}.num_hidden_layers=3")


def test_a_damaged_checkpoint_is_refused_and_last_falls_back(config, capsys):
    first = fit(config)
    second = fit(config)
    bad = next(p for p in (second / "checkpoints").glob("*.ckpt") if not p.is_symlink())
    content = bytearray(bad.read_bytes())
    content[len(content) // 2] ^= 1
    bad.write_bytes(content)
    with refused("was damaged"):
        resume(config, second)
    resumed = fit(config, "--ckpt_path=last", steps(5))
    assert "passed over: " in capsys.readouterr().out
    assert losses(resumed) == losses(resume(config, first, steps(5)))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_run_that_sigterm_ended_goes_on_where_it_was(config, monkeypatch, accumulated):
    parts = [f"--trainer.accumulate_grad_batches={accumulated}", "--data.init_args.batch_size=2"]
    whole = fit(config, steps(6), *parts)
    heard = Report.on_train_batch_end

    def ended(self, trainer, system, outputs, batch, batch_idx):
        heard(self, trainer, system, outputs, batch, batch_idx)
        if batch_idx + 1 == 2 * accumulated + 1:  # of two, within the third step
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_train_batch_end", ended)
        with pytest.raises(SystemExit) as stopped:
            fit(config, steps(6), *parts)
    assert stopped.value.code == 143
    first = newest_run(config)
    assert [path.name for path in (first / "checkpoints").glob("step*.ckpt")] == [
        "step_0000003.ckpt"
    ]
    resumed = resume(config, first, steps(6), *parts)
    assert losses(resumed) == losses(whole)[3:]
    same_checkpoint(whole, resumed)
