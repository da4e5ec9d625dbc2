import csv
import json
import sqlite3

import optuna
import pytest
import yaml

from engine.study.sweep.command import main
from engine.study.sweep.findings import plots
from engine.study.sweep.storage import opened
from tests.fixtures.runs import refused
from tests.fixtures.sweeps import SPACE, fake_fit, write_sweep


def trials(folder):
    """The rows of the report, by the trial's number."""
    with (folder / "sweep" / "trials.csv").open() as file:
        return {int(row["trial"]): row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """Plots are not drawn but where they are asked for."""
    if "drawn" not in request.node.name:
        monkeypatch.setattr(plots, "save", lambda drawing, path: path.touch())


def stored(folder):
    """The trials in the storage."""
    storage = opened(f"journal:{folder}/study.log", folder)
    return optuna.load_study(study_name="sweep", storage=storage).trials


@pytest.mark.slow
def test_a_sweep_runs_its_trials_and_names_the_best_and_plots_are_drawn(tmp_path, capsys):
    args = write_sweep(tmp_path, storage=None)  # SQLite
    main(args, fake_fit)
    rows = trials(tmp_path)
    assert [row["ended"] for row in rows.values()] == ["finished"] * 4
    losses = {number: float(row["loss"]) for number, row in rows.items()}
    for row in rows.values():
        assert float(row["loss"]) == pytest.approx((float(row["model.x"]) - 0.25) ** 2 + 1 / 4)
        assert row["seed"] == "3"
    best = min(losses, key=losses.__getitem__)
    out = capsys.readouterr().out
    assert f"best: trial_{best}, loss" in out
    config = yaml.safe_load((tmp_path / "sweep" / "best.yaml").read_text())
    assert config["model"]["x"] == float(rows[best]["model.x"])
    assert config["seed_everything"] == 3
    assert "logger" not in config["trainer"]
    for name in ("history", "slices", "parallel", "importances"):
        assert (tmp_path / "sweep" / f"{name}.png").stat().st_size > 5000
        assert (tmp_path / "sweep" / f"{name}.csv").read_text().count("\n") > 1
    main(args, fake_fit)
    assert len(list((tmp_path / "sweep").glob("trial_*/*/config.yaml"))) == 4


def test_the_same_sweep_draws_the_same_whatever_stops_it_in_between(tmp_path):
    sampler = {"class_path": "TPE", "init_args": {"startup_trials": 2}}
    whole = write_sweep(tmp_path / "whole", sampler=sampler, num_trials=5)
    main(whole, fake_fit)
    parts = write_sweep(tmp_path / "parts", sampler=sampler, num_trials=2)
    main(parts, fake_fit)
    main([*parts, "--sweep.num_trials=5"], fake_fit)
    first, second = ([t.params for t in stored(tmp_path / name)] for name in ("whole", "parts"))
    assert first == second
    assert len({json.dumps(params) for params in first}) == 5


def test_trials_that_end_badly_are_recorded_with_their_reason_and_the_study_goes_on(tmp_path):
    modes = {"trial_0": "raises", "trial_1": "killed", "trial_2": "full", "trial_3": "refused"}
    main(write_sweep(tmp_path, num_trials=5, options={"model.modes": modes}), fake_fit)
    rows = trials(tmp_path)
    kinds = ["failed", "killed", "out of memory", "refused", "finished"]
    assert [rows[number]["ended"] for number in range(5)] == kinds
    assert rows[0]["reason"] == "ValueError: the loss is no number"
    assert rows[1]["reason"] == "by SIGKILL, as the system does where memory runs out"
    assert "tried to allocate 8 GiB" in rows[2]["reason"]
    assert [trial.state.name for trial in stored(tmp_path)] == ["FAIL"] * 4 + ["COMPLETE"]


def test_nothing_but_failures_ends_the_sweep(tmp_path):
    args = write_sweep(tmp_path, options={"model.mode": "raises"}, max_failed=2)
    with refused("the last 2 trials failed, trial_1: ValueError: the loss is no number"):
        main(args, fake_fit)


def test_a_trial_worse_than_the_median_is_pruned_and_a_good_one_is_not(tmp_path):
    space = {"model.x": {"choices": [0.25, 0.35, 0.9, 0.26]}}
    options = {"model.mode": "slow"}
    pruner = {"class_path": "Median", "init_args": {"startup_trials": 2, "warmup_steps": 1}}
    more = {"space": space, "sampler": "GridSearch", "num_trials": None, "options": options}
    main(write_sweep(tmp_path, pruner=pruner, **more), fake_fit)
    rows = trials(tmp_path)
    assert [rows[n]["ended"] for n in range(4)] == ["finished", "finished", "pruned", "finished"]
    assert rows[2]["reason"] == "loss 1.423 at step 1"
    assert stored(tmp_path)[2].state.name == "PRUNED"


@pytest.mark.slow
def test_hyperband_prunes_by_the_steps_that_trials_have(tmp_path):
    space = {"model.x": {"choices": [0.25, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 2.0, 3.0]}}
    pruner = {"class_path": "Hyperband", "init_args": {"reduction": 2}}
    more = {"space": space, "sampler": "GridSearch", "num_trials": None}
    main(write_sweep(tmp_path, pruner=pruner, **more), fake_fit)
    ended = [row["ended"] for row in trials(tmp_path).values()]
    assert "pruned" in ended
    assert ended[0] == "finished"


def test_an_objective_that_is_never_logged_is_named_after_the_first_trial(tmp_path):
    with refused(r"trial_0 never logged los; did you mean loss\?; it logged loss, speed"):
        main(write_sweep(tmp_path, objectives={"los": "minimize"}), fake_fit)
    (first, *others) = stored(tmp_path)
    assert first.state.name == "FAIL"
    assert {trial.state.name for trial in others} == {"WAITING"}


def test_several_objectives_give_a_front_of_configs(tmp_path, capsys):
    objectives = {"loss": "minimize", "speed": "maximize"}
    space = {"model.x": {"choices": [0.25, 0.5, 0.0]}}
    more = {"sampler": "GridSearch", "space": space, "num_trials": None}
    main(write_sweep(tmp_path, objectives=objectives, **more), fake_fit)
    with (tmp_path / "sweep" / "front.csv").open() as file:
        assert [row["model.x"] for row in csv.DictReader(file)] == ["0.25", "0.5"]
    configs = sorted(path.name for path in (tmp_path / "sweep" / "front").iterdir())
    assert configs == ["trial_0.yaml", "trial_1.yaml"]
    assert "Pareto front, 2 of 3 trials" in capsys.readouterr().out
    assert (tmp_path / "sweep" / "front.png").is_file()


@pytest.mark.parametrize(
    ("more", "extra", "message"),
    [
        ({"objectives": {}}, [], "objectives is empty"),
        ({"num_trials": 0}, [], "num_trials must be at least 1, got 0"),
        (
            {"objectives": {"a": "minimize", "b": "maximize"}, "pruner": "Median"},
            [],
            "pruner: trials are pruned by one objective, and there are a, b",
        ),
        ({"launcher": ["torchrun"]}, [], "forked, launcher: a trial is forked or started"),
        ({}, ["--model.x=1"], "model.x is searched, and set on the command line"),
        ({"options": {"model.x": 1}}, [], "model.x is searched, and set by the sweep's options"),
        ({"num_trails": 3}, [], r"unknown key num_trails; did you mean num_trials\?"),
        ({"space": {"model.x": {"low": 1, "high": 0}}}, [], "model.x: the range is reversed"),
        ({"storage": "postgresql://u:secret@127.0.0.1:9/x"}, [], "u:.*@127.0.0.1:9/x cannot be"),
        ({"storage": "sqlite:////no/such/folder/s.db"}, [], "s.db cannot be used: unable to open"),
        ({"storage": "journal:/no/such/folder/j"}, [], "journal:/no/such/folder/j cannot be used"),
        ({"storage": "nonsense"}, [], "storage: expected the URL of a database, such as sqlite"),
        (
            {"pruner": {"class_path": "Hyperband", "init_args": {"min_steps": 9}}},
            [],
            "pruner: trials have 4 steps, no more than min_steps 9",
        ),
    ],
)
def test_what_cannot_be_swept_is_one_line(tmp_path, more, extra, message):
    with refused(message) as end:
        main([*write_sweep(tmp_path, **more), *extra], fake_fit)
    assert "secret" not in end.value.reason


def test_a_command_without_a_config_or_a_sweep_says_which_is_missing(tmp_path):
    config, sweep = write_sweep(tmp_path)
    with refused("nothing says what is searched; name a sweep by --sweep"):
        main([config], fake_fit)
    with refused("nothing says what is trained; name a config by --config"):
        main([sweep], fake_fit)
    with refused(r"none\.yaml: no such file"):
        main([config, f"--sweep={tmp_path}/none.yaml"], fake_fit)


def test_a_study_that_was_begun_as_another_is_not_continued(tmp_path):
    main(write_sweep(tmp_path, num_trials=1), fake_fit)
    other = {"model.x": {"low": 0.0, "high": 2.0}}
    with refused("study sweep was begun with another space: model.x .*'high': 1.0"):
        main(write_sweep(tmp_path, space=SPACE | other, num_trials=1), fake_fit)
    with refused("was begun with another command line: nothing|was begun with another command"):
        main([*write_sweep(tmp_path, num_trials=1), "--model.mode=slow"], fake_fit)
    with refused("was begun with objectives to minimize, not to maximize"):
        main(write_sweep(tmp_path, objectives={"loss": "maximize"}, num_trials=1), fake_fit)


@pytest.mark.slow
def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "text").write_text("no database" * 100)
    args = write_sweep(tmp_path, storage=f"sqlite:///{tmp_path}/text")
    with refused("text cannot be used: file is not a database"):
        main(args, fake_fit)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "text").execute("select 1 from x")


def test_a_report_runs_nothing(tmp_path, capsys):
    args = write_sweep(tmp_path, num_trials=2)
    main(args, fake_fit)
    capsys.readouterr()
    main([*args, "--sweep.num_trials=9", "--sweep.report"], fake_fit)
    assert "2 trials: 2 finished" in capsys.readouterr().out


def test_after_its_minutes_a_sweep_begins_no_trial(tmp_path):
    main(write_sweep(tmp_path, minutes=1e-9), fake_fit)
    assert {row["ended"] for row in trials(tmp_path).values()} == {"waiting"}


def test_flags_lie_under_the_space_and_over_the_configs(tmp_path):
    args = write_sweep(tmp_path, num_trials=1)
    main([*args, "--model.mode=slow"], fake_fit)
    run = tmp_path / "sweep" / "trial_0" / "0"
    given = json.loads((run / "args.json").read_text())
    assert given[0] == "fit"
    assert [arg.partition("=")[0] for arg in given[1:]] == ["--config", "--model.mode", "--config"]
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["mode"] == "slow"
