"""Signals and faults on one of two ranks, or on both: no rank waits for ever, no work is lost."""

import os
import random
import signal
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import (
    fit_on_ranks,
    losses,
    newest_run,
    saved_every,
    start_on_ranks,
    weights,
    write_config,
)

STRATEGY = Path(__file__).parent.parent / "configs" / "strategy"
MANY = "--trainer.max_steps=4000"
pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def layers(strategy):
    return [f"--config={STRATEGY / strategy}.yaml", "--data.init_args.batch_size=2"]


def wait(ranks, seconds=60):
    """Exit codes; a rank that is still there is ended, and has none."""
    end = monotonic() + seconds
    for process in ranks:
        process.join(max(0.1, end - monotonic()))
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    return codes


def wait_for_steps(config, process, seconds=100):
    """Wait until a run has written its first steps down."""
    end = monotonic() + seconds
    while monotonic() < end and process.is_alive():
        sleep(0.1)
        try:
            if len(losses(newest_run(config))) >= 2:
                return
        except (FileNotFoundError, KeyError, ValueError):
            continue


TARGETS = [
    ([0, 1], 0.0, signal.SIGTERM),
    ([0, 1], 0.03, signal.SIGTERM),
    ([1, 0], 1.0, signal.SIGINT),
    ([0], 0.0, signal.SIGINT),
    ([1], 0.0, signal.SIGTERM),
]
"""Which ranks get a signal, how many seconds apart, and which."""


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize(("signalled", "apart", "signum"), TARGETS)
def test_ranks_stop_together_whoever_is_told_and_when(config, strategy, signalled, apart, signum):
    extra = [*layers(strategy), "--trainer.val_check_interval=7", "--trainer.limit_val_batches=3"]
    extra += ["--trainer.accumulate_grad_batches=2"]
    ranks, logs = start_on_ranks(config, 2, *extra, MANY)
    wait_for_steps(config, ranks[0])
    sleep(random.random() / 2)
    for rank in signalled:
        os.kill(ranks[rank].pid, signum)
        sleep(apart)
    assert wait(ranks) == [128 + signum] * 2, logs[0].read_text()[-2000:]
    first = newest_run(config)
    held = torch.load(first / "checkpoints" / "last.ckpt", weights_only=True)
    assert f"step {held['global_step']} is saved in" in logs[0].read_text()
    step = held["global_step"]
    more = f"--trainer.max_steps={step + 2}"
    resumed = fit_on_ranks(
        config, 2, *extra, more, f"--ckpt_path={first / 'checkpoints' / 'last.ckpt'}"
    )
    whole = fit_on_ranks(config, 2, *extra, more)
    assert losses(whole)[step:] == losses(resumed)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("clip", ["1.0", "null"])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_no_number_on_one_rank_is_left_out_on_both(
    config, monkeypatch, strategy, clip, kind
):
    honest = CausalLM.training_step

    def step(self, batch, batch_idx):
        loss = honest(self, batch, batch_idx)
        if self.global_step != 2 or self.global_rank != 1:
            return loss
        if kind == "loss":
            return loss + float("nan")
        p = next(p for p in self.parameters() if p.requires_grad)
        first = getattr(p, "to_local", lambda: p)().flatten()[0]
        return loss + 0 * (first * 0).sqrt()

    monkeypatch.setattr(CausalLM, "training_step", step)
    clipped = [f"--trainer.gradient_clip_val={clip}", saved_every(1)]
    run = fit_on_ranks(config, 2, *layers(strategy), *clipped)
    held = [
        torch.load(run / "checkpoints" / f"step_{n:07d}.ckpt", weights_only=True) for n in (2, 3, 4)
    ]
    torch.testing.assert_close(held[0]["state_dict"], held[1]["state_dict"], rtol=0, atol=0)
    name = next(iter(held[1]["state_dict"]))
    assert not torch.equal(held[1]["state_dict"][name], held[2]["state_dict"][name])
    assert all(value.isfinite().all() for value in held[2]["state_dict"].values())


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("failing", [[0], [1], [0, 1]])
def test_a_rank_that_fails_alone_lets_no_other_wait(config, monkeypatch, strategy, failing):
    honest = CausalLM.training_step

    def step(self, batch, batch_idx):
        if self.global_step == 2 and self.global_rank in failing:
            raise RuntimeError("a worn-out disk")
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(CausalLM, "training_step", step)
    began = monotonic()
    ranks, logs = start_on_ranks(config, 2, *layers(strategy))
    codes = wait(ranks, 90)
    assert None not in codes
    assert all(codes), f"{codes} after {monotonic() - began:.0f} s"
    output = "".join(log.read_text() for log in logs)
    names = [path.name for path in (newest_run(config) / "checkpoints").glob("step*.ckpt")]
    if failing == [0, 1] or strategy == "ddp":
        assert names == ["step_0000002.ckpt"], output[-3000:]
    else:
        assert not names
        assert "not all ranks can save it" in output
