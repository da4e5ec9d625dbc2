import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.utilities.exceptions import SIGTERMException

from engine.study.grid import Grid
from engine.study.trial import Command, nested
from tests.fixtures.grids import AXES, Log


class Told:
    """A report that only counts."""

    def write(self, folder: Path, cells: list[tuple[dict[str, str], dict[str, Path]]]):
        yield f"{len(cells)} in {folder.name}: {sorted(cells[0][1])}"


def grid(folder, axes=AXES, **options):
    commands = {"fit": Command(), "test": Command("test")}
    return Grid(
        str(folder / "grid"), axes, **({"commands": commands, "in_process": True} | options)
    )


EVERY = [
    (f"{size}/{seed}", verb)
    for size in AXES["size"]
    for seed in AXES["seed"]
    for verb in ("fit", "test")
]


def test_every_combination_is_run_once_and_the_last_axis_turns_fastest(tmp_path):
    log = Log()
    assert grid(tmp_path).run(log, print) == []
    assert log.asked == EVERY


def test_a_cell_is_a_config_that_the_command_line_takes_as_it_is(tmp_path):
    cell = grid(tmp_path, options={"trainer.max_steps": 3, "model.depth": 1}).cells()[0]
    cell.prepare()
    held = yaml.safe_load(cell.config("fit").read_text())
    assert held["model"] == {"depth": 1, "width": 1}
    logger = held["trainer"]["logger"]
    assert logger["class_path"] == "engine.run.logger.RunLogger"
    assert logger["init_args"] == {"root": str(tmp_path / "grid"), "name": "small/s1"}
    assert cell.args("fit") == ["fit", f"--config={cell.config('fit')}"]
    assert "ckpt_path" not in held
    assert yaml.safe_load(cell.config("test").read_text())["ckpt_path"] == "last"


def test_after_a_kill_finished_commands_are_not_repeated(tmp_path):
    killed = Log({("small/s2", "test"): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        grid(tmp_path).run(killed, print)
    again = Log()
    grid(tmp_path).run(again, print)
    assert killed.asked[:-1] + again.asked == EVERY
    third = Log()
    said = []
    grid(tmp_path).run(third, said.append)
    assert third.asked == []
    assert said[0] == "[1/4] small/s1: was finished before"


def test_a_stop_that_lightning_turned_into_an_exit_stops_the_grid(tmp_path):
    stopped = SystemExit(1)
    stopped.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        grid(tmp_path).run(Log({("small/s1", "fit"): stopped}), print)


def test_a_termination_stops_the_grid_and_leaves_no_receipt(tmp_path):
    def entry_point(args):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    for ended in (entry_point, Log({("small/s1", "fit"): SIGTERMException()})):
        with pytest.raises(SystemExit) as stopped:
            grid(tmp_path).run(ended, print)
        assert stopped.value.code == 143
        assert not (tmp_path / "grid" / "small" / "s1" / "fit.json").exists()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such width"), "ValueError: no such width"),
        (SystemExit(2), "hello from small/s2"),
    ],
)
def test_one_cells_failure_is_told_and_stops_no_other(tmp_path, error, reason):
    log, said = Log({("small/s2", "fit"): error}), []
    failures = grid(tmp_path).run(log, said.append)
    assert [(failure.cell, failure.command) for failure in failures] == [("small/s2", "fit")]
    assert failures[0].reason == reason
    assert "hello from small/s2" in failures[0].log.read_text()
    assert log.asked == [job for job in EVERY if job != ("small/s2", "test")]
    again = Log()
    assert grid(tmp_path).run(again, print) == []
    assert again.asked == [("small/s2", "fit"), ("small/s2", "test")]


def test_an_exit_without_an_error_is_no_failure(tmp_path):
    assert grid(tmp_path).run(Log({("small/s1", "fit"): SystemExit(0)}), print) == []


def test_a_killed_training_goes_on_from_its_newest_checkpoint(tmp_path):
    cell = grid(tmp_path).cells()[0]
    folder = cell.folder / "0" / "checkpoints"
    folder.mkdir(parents=True)
    cell.prepare()
    held = {"global_step": 1, "pytorch-lightning_version": "2.6.6", "state_dict": {}}
    torch.save(held, folder / "step_1.ckpt")
    log = Log()
    grid(tmp_path).run(log, print)
    assert log.args[0] == [*cell.args("fit"), "--ckpt_path=last"]
    assert log.args[1] == cell.args("test")


def test_a_cell_begun_under_other_options_or_configs_is_refused(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text("model: {depth: 1}\n")
    grid(tmp_path, configs=[str(base)]).run(Log(), print)
    base.write_text("# a comment\nmodel:\n  depth: 1\n")
    grid(tmp_path, configs=[str(base)]).run(Log(), print)
    with pytest.raises(ValueError, match="small/s1: fit was begun with other options or configs"):
        grid(tmp_path, configs=[str(base)], options={"seed_everything": 4}).run(Log(), print)
    base.write_text("model: {depth: 2}\n")
    with pytest.raises(ValueError, match="give the grid a new folder"):
        grid(tmp_path, configs=[str(base)]).run(Log(), print)


def test_a_cell_knows_what_lies_under_its_configs(tmp_path):
    base, run = tmp_path / "base.yaml", tmp_path / "run.yaml"
    base.write_text("model: {depth: 1}\n")
    run.write_text("model: {width: 1}\n")
    grid(tmp_path, configs=[str(run)]).run(Log(), print)
    base.write_text("model: {depth: 2}\n")
    with pytest.raises(ValueError, match="fit was begun with other options or configs"):
        grid(tmp_path, configs=[str(run)]).run(Log(), print)


def test_a_config_that_is_changed_while_the_grid_runs_fails_the_cells_behind(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text("model: {depth: 1}\n")
    log = Log()

    def entry_point(args):
        log(args)
        if len(log.asked) == 2:
            base.write_text("model: {depth: 2}\n")

    failures = grid(tmp_path, configs=[str(base)]).run(entry_point, print)
    assert log.asked == EVERY[:2]
    assert [failure.cell for failure in failures] == ["small/s2", "large/s1", "large/s2"]
    assert failures[0].reason == "its configs have changed since the grid began"


def test_combinations_can_be_left_out_and_commands_kept_to_some_cells(tmp_path):
    commands = {"fit": Command(only=[{"size": "large"}]), "test": Command("test")}
    skip = [{"size": "small", "seed": ["s2"]}]
    log = Log()
    chosen = grid(tmp_path, commands=commands, skip=skip)
    chosen.run(log, print)
    assert log.asked == [("small/s1", "test"), *EVERY[4:]]
    small, large = (yaml.safe_load(chosen.cells()[i].config("test").read_text()) for i in (0, 1))
    assert "ckpt_path" not in small
    assert large["ckpt_path"] == "last"


def test_a_choice_may_bring_configs_of_its_own(tmp_path):
    for name in ("base", "own"):
        (tmp_path / f"{name}.yaml").write_text("{}\n")
    axes = {"kind": {"plain": {}, "other": {"configs": [str(tmp_path / "own.yaml")], "a.b": 1}}}
    plain, other = grid(tmp_path, axes, configs=[str(tmp_path / "base.yaml")]).cells()
    assert [Path(path).name for path in plain.configs] == ["base.yaml"]
    assert [Path(path).name for path in other.configs] == ["base.yaml", "own.yaml"]
    assert other.options == {"a.b": 1}


def test_only_some_cells_can_be_run_and_then_no_report_is_made(tmp_path):
    log, said = Log(), []
    grid(tmp_path, report=Told()).run(log, said.append, only=["large/s2"])
    assert log.asked == EVERY[-2:]
    assert not any("in grid" in line for line in said)
    with pytest.raises(ValueError, match="no cell huge; there are small/s1, small/s2"):
        grid(tmp_path).run(log, print, only=["huge"])


def test_the_report_reads_what_was_finished(tmp_path):
    said = []
    grid(tmp_path, report=Told()).run(Log({("small/s1", "test"): ValueError("x")}), said.append)
    assert said[-1] == "4 in grid: ['fit']"  # of the first cell only its training


def test_the_receipt_names_the_run_folder_of_each_command(tmp_path):
    grid(tmp_path).run(Log(), print)
    cell = grid(tmp_path).cells()[0]
    assert cell.outcome == {"fit": cell.folder / "0", "test": cell.folder / "1"}
    receipt = json.loads((cell.folder / "test.json").read_text())
    assert receipt["command"] == ["python", "cli.py", "test", f"--config={cell.config('test')}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": {}}, "axes is empty"),
        ({"commands": {}}, "commands is empty"),
        ({"axes": {"size": {}}}, "axis size has no choices"),
        ({"axes": {"size": {"a/b": {}}}}, "'a/b' cannot be the name of a folder"),
        ({"axes": {"seed": {"1": {}}}}, "'1' cannot be the name of a folder"),
        ({"configs": ["none.yaml"]}, r"configs: there is no file none\.yaml"),
        ({"skip": [{"size": "huge"}]}, "there is no choice huge of an axis size"),
    ],
)
def test_what_describes_no_grid_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        grid(tmp_path, **options)


def test_dotted_keys_become_a_tree_and_later_ones_win():
    options = {"a.b": {"c": 1, "d": 2}, "a.b.c": 3, "e": 0}
    assert nested(options) == {"a": {"b": {"c": 3, "d": 2}}, "e": 0}
    assert nested({"a.c": 3, "a": {"d": 4}}) == {"a": {"c": 3, "d": 4}}
    with pytest.raises(ValueError, match=r"option a\.b\.c: b is 1 already"):
        nested({"a.b": 1, "a.b.c": 2})
