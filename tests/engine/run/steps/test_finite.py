"""Steps whose loss or gradient is no number are left out, on every rank, and many end the run."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.run.steps.finite import SoundSteps
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import (
    fit,
    losses,
    metrics,
    newest_run,
    refused,
    saved_every,
    weights,
    write_config,
)

EMA = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.9}}'
EVERY = saved_every(1)


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def spoiled(monkeypatch, batches, value=float("nan"), gradient=False):
    """Let the loss, or a gradient alone, of some batches be no number."""
    honest, seen = CausalLM.training_step, []

    def step(self, batch, batch_idx):
        loss = honest(self, batch, batch_idx)
        seen.append(batch_idx)
        if len(seen) - 1 not in batches:
            return loss
        if not gradient:
            self.meter.add("loss", torch.tensor(value), 1)
            return loss + value  # its gradient alone would be finite
        p = next(p for p in self.parameters() if p.requires_grad)
        return loss + 0 * (p.flatten()[0] * 0).sqrt()  # finite, but its gradient is not

    monkeypatch.setattr(CausalLM, "training_step", step)


def ends(run):
    """What a run has at its end."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize(
    "optimizer",
    [
        "torch.optim.AdamW",
        pytest.param("torch.optim.SGD", marks=pytest.mark.slow),
        pytest.param("engine.optim.muon.MuonAdamW", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("clip", ["1.0", pytest.param("null", marks=pytest.mark.slow)])
def test_a_step_that_is_left_out_touches_nothing(config, monkeypatch, optimizer, clip):
    args = [
        f'--model.init_args.optimizer={{"class_path": "{optimizer}", "init_args": {{"lr": 0.01}}}}',
        f"--trainer.gradient_clip_val={clip}",
        EVERY,
        EMA,
    ]
    spoiled(monkeypatch, [2], gradient=optimizer.endswith("SGD"))
    run = fit(config, *args)
    before, after = (
        torch.load(run / "checkpoints" / f"step_000000{n}.ckpt", weights_only=True) for n in (2, 3)
    )
    for key in ("state_dict", "ema"):
        torch.testing.assert_close(before[key], after[key], rtol=0, atol=0)
    torch.testing.assert_close(
        before["optimizer_states"][0]["state"],
        after["optimizer_states"][0]["state"],
        rtol=0,
        atol=0,
    )
    assert before["lr_schedulers"][0]["last_epoch"] == 2
    assert after["lr_schedulers"][0]["last_epoch"] == 3
    assert not torch.equal(
        *(next(iter(state.values())) for state in (after["state_dict"], weights(run)))
    )


def test_a_step_that_is_left_out_is_counted_and_its_loss_is_not(config, monkeypatch, capsys):
    spoiled(monkeypatch, [1])
    rows = metrics(fit(config, "--trainer.log_every_n_steps=2"))
    assert [row.get("train/skipped") for row in rows] == [1, 1]
    assert all(row["train/loss"] < 10 for row in rows)
    output = capsys.readouterr().out
    assert (
        "step 2 left out: its loss or gradient is not finite (1 in a row, 5 end the run)" in output
    )
    assert "skipped 1 ·" in output


@pytest.mark.slow
def test_one_micro_batch_spoils_its_whole_step_and_no_other(config, monkeypatch):
    parts = ["--trainer.accumulate_grad_batches=3", "--data.init_args.batch_size=1", EVERY]
    spoiled(monkeypatch, [3])
    run = fit(config, *parts)
    states = [
        torch.load(run / "checkpoints" / f"step_000000{n}.ckpt", weights_only=True)["state_dict"]
        for n in (1, 2, 3)
    ]
    moved = [
        any(not torch.equal(value, after[name]) for name, value in before.items())
        for before, after in pairwise(states)
    ]
    assert moved == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_many_in_a_row_end_the_run_and_their_batch_is_written(config, monkeypatch, capsys, value):
    spoiled(monkeypatch, range(2, 99), value)
    with refused(r"3 steps in a row.*up to step 5.*skipped"):
        fit(config, "--trainer.max_steps=9", "--trainer.max_skipped_steps=3")
    run = newest_run(config)
    written = torch.load(run / "skipped" / "step_0000005_rank_0.pt", weights_only=True)
    assert written["batches"][0]["token_BL"].shape == (4, 64)
    assert not torch.tensor(written["losses"]).isfinite().any()
    assert "ended the run; step 5 is saved in" in capsys.readouterr().out
    assert all(value.isfinite().all() for value in weights(run).values())


@pytest.mark.slow
def test_weights_that_are_no_numbers_are_never_saved(config, monkeypatch, capsys):
    honest = torch.optim.AdamW.step

    def burst(self, closure=None):
        loss = honest(self, closure)
        steps = max(int(state["step"]) for state in self.state.values())
        if steps == 3:
            self.param_groups[0]["params"][0].data[0, 0] = float("inf")
        return loss

    monkeypatch.setattr(torch.optim.AdamW, "step", burst)
    with refused(r"after step 3 network.* is not finite"):
        fit(config, EVERY)
    run = newest_run(config)
    names = [path.name for path in (run / "checkpoints").glob("step*.ckpt")]
    assert sorted(names) == ["step_0000001.ckpt", "step_0000002.ckpt"]
    assert ends(run)["global_step"] == 2
    assert "step 3 could not be saved" in capsys.readouterr().out


@pytest.mark.slow
def test_a_resumed_run_goes_on_counting(config, monkeypatch):
    with monkeypatch.context() as patch:
        spoiled(patch, [1])
        first = fit(config, "--trainer.max_steps=2")
    assert ends(first)["callbacks"]["SoundSteps"] == {"total": 1, "in_a_row": 1}
    last = Path(first) / "checkpoints" / "last.ckpt"
    rows = metrics(fit(config, f"--ckpt_path={last}"))
    assert [row["train/skipped"] for row in rows] == [1, 1]
    assert len(losses(first)) == 1


class Alone(torch.nn.Module):
    """One weight, as a module that is trained."""

    def __init__(self, gradient):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.weight.grad = torch.tensor(gradient)


@pytest.mark.parametrize(
    ("gradient", "scaler", "skips", "keeps"),
    [
        ([1.0, float("nan")], None, True, False),
        ([1.0, float("inf")], object(), True, True),  # the scaler leaves it out, and must see it
        ([1e30, 1e30], None, True, False),  # no number in 32 bits has this norm
        ([1e30, 1e30], object(), False, True),
        ([1.0, 2.0], None, False, True),
    ],
)
def test_what_is_left_out_with_a_scaler_and_without(gradient, scaler, skips, keeps):
    module = Alone(gradient)
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(handles_gradient_accumulation=False),
        precision_plugin=SimpleNamespace(scaler=scaler),
    )
    SoundSteps(5).on_before_optimizer_step(trainer, module, None)
    assert module.skips_step == skips
    assert (module.weight.grad is not None) == keeps


@pytest.mark.parametrize("sparse", [False, True])
def test_the_norm_is_taken_of_sparse_gradients_too(sparse):
    module = Alone([3.0, 4.0])
    if sparse:
        module.weight.grad = module.weight.grad.to_sparse()
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(handles_gradient_accumulation=False),
        precision_plugin=SimpleNamespace(),
    )
    SoundSteps(5).on_before_optimizer_step(trainer, module, None)
    assert module.gradient_norm == 5
    assert not module.skips_step
