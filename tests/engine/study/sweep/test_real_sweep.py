"""A sweep of real runs: a killed trial, a killed worker, two workers, and the parser of `fit`."""

import os
import signal
from multiprocessing import get_context

import pytest
import torch
import yaml

from cli import main as entry_point
from engine.config.layers import BASE
from engine.study.sweep.command import main, read_sweep
from engine.study.sweep.configs import resolved
from engine.study.trial import Options
from tests.engine.study.sweep.test_sweep import stored, trials
from tests.engine.study.sweep.test_workers import folders, wait_for
from tests.fixtures.runs import refused, write_config

CONFIGS = BASE.parent
LR = "model.init_args.optimizer.init_args.lr"


def write_real(folder, text_file, tokenizer_folder, **more):
    """A sweep of a tiny language model, and the command line that runs it."""
    config, sweep = write_config(folder, text_file, tokenizer_folder), folder / "sweep.yaml"
    saving = {"class_path": "engine.run.every_n_steps.StepCheckpoints"}
    saving |= {"init_args": {"every_n_steps": 1}}
    content = {
        "folder": str(folder / "sweep"),
        "space": {LR: {"low": 1e-3, "high": 1e-1, "log": True}},
        "objectives": {"validate/loss": "minimize"},
        "num_trials": 4,
        "storage": f"journal:{folder}/study.log",
        "sampler": "RandomSearch",
        "pruner": "Median",
        "forked": True,
        "options": {
            "trainer.val_check_interval": 2,
            "trainer.max_steps": 6,
            "trainer.callbacks": [{"class_path": "callbacks.report.Report"}, saving],
        },
    }
    sweep.write_text(yaml.safe_dump(content | more, sort_keys=False))
    return [f"--config={config}", f"--sweep={sweep}"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({LR + "r": {"low": 1, "high": 2}}, rf"unknown key {LR}r; did you mean lr\?"),
        (
            {"data.init_args.batch_siz": {"choices": [1]}},
            r"sweep\.yaml \(space\): unknown key data.init_args.batch_siz; did you mean batch_size",
        ),
        (
            {
                "seed_everything": {"choices": [1, 2]},
                "trainer.max_step": {"choices": [1], "when": {"seed_everything": 2}},
            },
            r"unknown key trainer.max_step; did you mean max_steps",
        ),
        ({"data.init_args.batch_size": {"low": 0.5, "high": 2}}, "batch_size: expected int"),
    ],
)
def test_a_space_that_does_not_fit_the_config_is_one_line(
    tmp_path, text_file, tokenizer_folder, space, message
):
    args = write_real(tmp_path, text_file, tokenizer_folder, space=space)
    with refused(message) as end:
        main(args, entry_point)
    assert "\n" not in end.value.reason
    assert not list(tmp_path.glob("sweep/trial_*"))


def worker_main(args, log):
    """A worker in a process of its own."""
    with log.open("w", buffering=1) as out:
        os.dup2(out.fileno(), 2)
        main(args, entry_point)


def start(args, log):
    process = get_context("fork").Process(target=worker_main, args=(args, log))
    process.start()
    return process


@pytest.mark.slow
def test_a_sweep_of_real_runs_survives_a_killed_trial_and_a_killed_worker_and_is_shared(
    tmp_path, text_file, tokenizer_folder, capsys
):
    torch.set_num_threads(1)
    args = write_real(tmp_path, text_file, tokenizer_folder)
    worker = start(args, tmp_path / "log")
    logs = [tmp_path / "sweep" / f"trial_{number}" / "0" / "metrics.csv" for number in range(3)]
    wait_for(logs[0].exists, 60)
    (trial,) = (int(pid) for pid in children(worker.pid))
    os.kill(trial, signal.SIGKILL)
    wait_for(logs[1].exists, 60)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert [one.state.name for one in stored(tmp_path)][:2] == ["FAIL", "RUNNING"]

    workers = [start(args, tmp_path / f"log{number}") for number in range(2)]
    for one in workers:
        one.join(120)
    assert [one.exitcode for one in workers] == [0, 0], (tmp_path / "log0").read_text()
    rows = trials(tmp_path)
    assert [rows[0]["ended"], rows[0]["reason"].split(",")[0]] == ["killed", "by SIGKILL"]
    assert [rows[number]["ended"] for number in (1, 2, 3)] == ["finished"] * 3
    assert folders(tmp_path)["trial_1"] == ["0", "1"]
    assert [folders(tmp_path)[f"trial_{number}"] for number in (0, 2, 3)] == [["0"]] * 3

    root = f"--trainer.logger.init_args.root={tmp_path / 'again'}"
    entry_point(["fit", f"--config={tmp_path}/sweep/best.yaml", root])
    (again,) = (tmp_path / "again").glob("*/*/0/metrics.csv")
    best = min(float(row["validate/loss"]) for row in rows.values() if row["ended"] == "finished")
    values = [line for line in again.read_text().splitlines() if f"{best}" in line]
    assert values, f"{best} is not what {again} ends with"


def children(pid):
    """Processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal_lm/tiny", "detector/tiny", "lmfusion/tiny"])
def test_the_space_of_a_shipped_sweep_fits_its_config(name):
    sweep = CONFIGS / "sweep" / f"{name.replace('/', '_')}.yaml"
    found, _, configs, flags = read_sweep([f"--config={CONFIGS}/{name}.yaml", f"--sweep={sweep}"])
    for values in found.space.examples():
        options = Options({**found.options, **values})
        assert resolved(entry_point, configs, flags, options, "sweep")["trainer"]["max_steps"]
