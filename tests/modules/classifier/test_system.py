"""Detectors through the command line."""

import csv
import json
import math
import re

import pytest
import torch
import yaml

from cli import main
from tests.fixtures.classifier_runs import scores
from tests.fixtures.runs import (
    fit,
    fit_on_ranks,
    last,
    losses,
    metrics,
    newest_run,
    refused,
    weights,
)


def test_a_resumed_run_is_the_one_that_never_stopped(config, begun):
    resumed = fit(config, "--trainer.max_steps=7", last(begun))
    whole = fit(config, "--trainer.max_steps=7")
    assert losses(resumed) == losses(whole)[4:]
    a, b = weights(resumed), weights(whole)
    assert all(torch.equal(a[name], value) for name, value in b.items())


@pytest.mark.slow
def test_a_step_in_parts_is_the_step(config, tmp_path):
    same = ["--model.init_args.network.init_args.options.mlp_dropout=0", "--trainer.max_steps=2"]
    same.append("--data.init_args.pool_size=1")
    parts = ["--data.init_args.batch_size=4", "--trainer.accumulate_grad_batches=2"]
    whole, split = fit(config, *same), fit(config, *same, *parts)
    assert losses(split) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.slow
def test_two_ranks_test_every_text_once(config, trained):
    single = fit(config, last(trained), "--trainer.max_steps=41", "--trainer.val_check_interval=41")
    halves = ["--data.init_args.batch_size=4", "--trainer.strategy=ddp", "--trainer.max_steps=41"]
    two = fit_on_ranks(config, 2, last(trained), *halves, "--trainer.val_check_interval=41")
    calibrations = [
        torch.load(run / "checkpoints" / "last.ckpt")["calibration"] for run in (single, two)
    ]
    assert calibrations[0]["num_negative"] == calibrations[1]["num_negative"] == 10


def test_the_checkpoint_keeps_what_validation_said(config, trained):
    kept = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["calibration"]
    assert kept["step"] == 40
    assert kept["num_negative"] == 10
    main(["test", f"--config={config}", last(trained)])
    table = scores(newest_run(config))
    odds = [score / kept["temperature"] + kept["offset"] for score in table["score"]]
    p = [1 / (1 + math.exp(-logit)) for logit in odds]
    assert table["p_machine"] == pytest.approx(p, rel=1e-6)


def watching(name):
    """An argument: training ends where a quantity no longer gets better."""
    options = {"monitor": name, "patience": 9}
    watcher = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": options}
    return f"--trainer.callbacks+={json.dumps(watcher)}"


def test_a_step_that_is_saved_and_validated_keeps_what_its_validation_said(config, tmp_path):
    every = {
        "class_path": "engine.run.every_n_steps.StepCheckpoints",
        "init_args": {"every_n_steps": 2},
    }
    whole = yaml.safe_load(config.read_text())
    del whole["trainer"]["callbacks+"]
    whole["trainer"]["callbacks"] = [{"class_path": "callbacks.report.Report"}, every]
    whole["trainer"]["logger"]["init_args"]["root"] = str(tmp_path / "runs")
    saving = tmp_path / "tiny" / "lines.yaml"
    saving.parent.mkdir()
    saving.write_text(yaml.safe_dump(whole))
    validated = ["--trainer.val_check_interval=2", "--trainer.max_steps=6"]
    run = fit(saving, *validated, watching("validate/auroc"))
    with (run / "metrics.csv").open() as file:
        given = {name for name in next(csv.reader(file)) if name.startswith("validate/")}
    with refused("; there are ") as refusal:
        fit(saving, *validated, watching("validate/auc"))
    assert given == set(refusal.value.reason.partition("; there are ")[2].split(", "))
    kept = sorted((run / "checkpoints").glob("step*.ckpt"))
    steps = [torch.load(path, weights_only=True)["calibration"]["step"] for path in kept]
    assert steps == [2, 4, 6]
    resumed = fit(saving, f"--ckpt_path={kept[0]}", *validated)
    rows = [row["validate/loss"] for row in metrics(run) if "validate/loss" in row]
    assert [row["validate/loss"] for row in metrics(resumed) if "validate/loss" in row] == rows[1:]
    a, b = weights(resumed), weights(run)
    assert all(torch.equal(a[name], value) for name, value in b.items())


def test_a_checkpoint_without_validation_says_so(config, begun):
    with pytest.warns(UserWarning, match="calibrated at step -1, but its weights are of step 4"):
        main(["test", f"--config={config}", last(begun)])


def test_a_window_longer_than_the_context_is_refused(config):
    with refused("more than the encoder's context of 64"):
        fit(config, "--data.init_args.max_length=99")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--model.init_args.class_weights=[1.0]", "1 weights, 2 classes"),
        ("--model.init_args.target_fpr=1.0", r"must lie in \(0, 1\), got 1.0"),
        ('--model.init_args.classes=["one"]', "at least two"),
    ],
)
def test_bad_options_are_refused(config, flag, message, capsys):
    with pytest.raises(SystemExit):
        fit(config, flag)
    assert re.search(message, capsys.readouterr().err)
