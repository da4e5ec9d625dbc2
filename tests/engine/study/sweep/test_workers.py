"""Several workers, killed ones, and those that take over."""

import os
import signal
import time

import pytest

from engine.study.sweep.command import main
from engine.study.sweep.ledger import SILENT, Ledger
from engine.study.sweep.storage import opened
from tests.engine.study.sweep.test_sweep import stored, trials, undrawn  # noqa: F401
from tests.fixtures.sweeps import fake_fit, start_worker, write_sweep


def wait_for(what, seconds=20.0):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def folders(folder):
    """The run folders of each trial."""
    return {p.name: sorted(q.name for q in p.glob("[0-9]*")) for p in folder.glob("sweep/trial_*")}


def ledger(folder, directions=None):
    """The trials of a test's sweep, as another worker sees them."""
    plan = {}
    storage = opened(f"journal:{folder}/study.log", folder)
    return Ledger(storage, "sweep", folder / "sweep", directions or {"loss": "minimize"}, plan)


SOFT = [pytest.param(signum, marks=pytest.mark.slow) for signum in (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize("signum", [signal.SIGKILL, *SOFT])
def test_a_worker_that_is_killed_is_continued_and_the_count_is_right(tmp_path, signum):
    args = write_sweep(tmp_path, num_trials=3, options={"model.modes": {"trial_1": "waits"}})
    worker = start_worker(args, tmp_path / "log")
    log = tmp_path / "sweep" / "trial_1" / "0" / "metrics.csv"
    wait_for(lambda: log.exists() and log.read_text().count("\n") == 2)
    os.kill(worker.pid, signum)
    worker.join(20)
    assert worker.exitcode is not None
    assert [trial.state.name for trial in stored(tmp_path)] == ["COMPLETE", "RUNNING", "WAITING"]
    (tmp_path / "sweep" / "go").touch()
    main(args, fake_fit)
    assert [trial.state.name for trial in stored(tmp_path)] == ["COMPLETE"] * 3
    assert folders(tmp_path) == {"trial_0": ["0"], "trial_1": ["0", "1"], "trial_2": ["0"]}


def test_two_workers_share_the_trials_and_run_none_twice(tmp_path):
    args = write_sweep(tmp_path, num_trials=8, options={"model.mode": "slow"})
    workers = [start_worker(args, tmp_path / f"log{n}") for n in range(2)]
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0], (tmp_path / "log0").read_text()
    found = stored(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 8
    assert set(folders(tmp_path)) == {f"trial_{number}" for number in range(8)}
    assert all(runs == ["0"] for runs in folders(tmp_path).values())
    assert len({trial.user_attrs["pid"] for trial in found}) == 2
    assert len({trial.params["model.x"] for trial in found}) == 8


def test_a_trial_that_another_worker_runs_is_left_to_it(tmp_path):
    args = write_sweep(tmp_path, num_trials=2, options={"model.modes": {"trial_0": "waits"}})
    worker = start_worker(args, tmp_path / "log")
    run = tmp_path / "sweep" / "trial_0" / "0"
    wait_for(run.exists)
    main(args, fake_fit)
    assert [trial.state.name for trial in stored(tmp_path)] == ["RUNNING", "COMPLETE"]
    (tmp_path / "sweep" / "go").touch()
    worker.join(20)
    assert [row["ended"] for row in trials(tmp_path).values()] == ["finished"] * 2


def test_a_silent_worker_on_another_machine_is_replaced_by_a_trial_like_its_own(tmp_path):
    args = write_sweep(tmp_path, num_trials=1)
    main(args, fake_fit)
    book = ledger(tmp_path)
    book.enter([{}, {"model.x": 0.5, "model.kind": "a"}])
    with book.claimed() as claim:
        claim.trial.suggest_float("model.x", 0, 1)
        claim.trial.suggest_categorical("model.kind", ["a", "b"])
        claim.trial.set_user_attr("host", "elsewhere")
        claim.trial.set_user_attr("beat", time.time() - SILENT / 2)
    main([*args, "--sweep.num_trials=2"], fake_fit)
    assert stored(tmp_path)[1].state.name == "RUNNING"  # not silent for long enough
    book.storage.set_trial_user_attr(stored(tmp_path)[1]._trial_id, "beat", 0.0)
    main([*args, "--sweep.num_trials=2"], fake_fit)
    lost, instead = stored(tmp_path)[1:]
    assert (lost.state.name, instead.state.name) == ("FAIL", "COMPLETE")
    assert lost.user_attrs["reason"].startswith("its worker on elsewhere has been silent")
    assert instead.user_attrs["instead_of"] == 1
    assert instead.params == lost.params == {"model.x": 0.5, "model.kind": "a"}


def test_a_trial_whose_run_had_finished_is_not_run_again(tmp_path):
    args = write_sweep(tmp_path, num_trials=1)
    main(args, fake_fit)
    receipt = (tmp_path / "sweep" / "trial_0" / "fit.json").read_text()
    (tmp_path / "study.log").unlink()
    main(args, fake_fit)  # as if its worker had been killed before it recorded the end
    assert (tmp_path / "sweep" / "trial_0" / "fit.json").read_text() == receipt
    assert folders(tmp_path) == {"trial_0": ["0"]}
