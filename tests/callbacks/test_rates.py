"""The rates that a run reports are those that its optimizers used."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from callbacks.rates import StepRates
from callbacks.report_line import line
from tests.fixtures.runs import fit, metrics, write_config


@contextmanager
def used():
    """The rate of the first group in every step of a training, as torch's optimizers report it."""
    rates = []

    def note(optimizer, *_):
        first = optimizer.param_groups[0]
        if first["params"][0].numel() > 4:  # a trial before the run has smaller ones
            rates.append(first["lr"])

    handle = register_optimizer_step_pre_hook(note)
    yield rates
    handle.remove()


@pytest.mark.parametrize("every", [1, 3])
def test_a_reported_rate_is_the_one_that_its_step_used(
    every, tmp_path, text_file, tokenizer_folder
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    parts = [
        "--trainer.accumulate_grad_batches=2",
        "--data.init_args.batch_size=2",
        f"--trainer.log_every_n_steps={every}",
    ]
    with used() as rates:
        first = fit(config, *parts, "--trainer.max_steps=4")
        last = first / "checkpoints" / "last.ckpt"
        resumed = fit(config, *parts, "--trainer.max_steps=7", f"--ckpt_path={last}")
    assert len(set(rates)) == 7
    rows = metrics(first) + metrics(resumed)
    assert {4, 7} <= {row["step"] for row in rows}
    for row in rows:
        assert row["learning_rate"] == rates[int(row["step"]) - 1]


def test_groups_with_rates_of_their_own_are_reported_by_their_numbers():
    tensors = [torch.nn.Parameter(torch.zeros(1)) for _ in range(4)]
    rates = [0.1, 0.1, 0.02, torch.tensor(0.5)]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(tensors, rates, strict=True)]
    first, second = torch.optim.SGD(groups[:3]), torch.optim.SGD(groups[3:])
    trainer = SimpleNamespace(optimizers=[first, second])
    noted = StepRates()
    noted.note(trainer, second)
    noted.note(trainer, first)
    second.param_groups[0]["lr"].fill_(0.0)
    first.param_groups[0]["lr"] = 0.0
    assert noted.row() == {"learning_rate": 0.1, "learning_rate/2": 0.02, "learning_rate/3": 0.5}
    printed = line(3, {**noted.row(), "memory_bytes": 2**30}, 9)
    assert "lr 1.00e-01 2.00e-02 5.00e-01 ·" in printed
