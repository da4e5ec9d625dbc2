import csv
import json

import pytest
import yaml

from engine.study.compare.command import main
from engine.study.compare.comparison import SideBySide
from engine.study.compare.runs import Run, is_lower_better
from tests.fixtures.runs import refused


def write_run(folder, lr, losses, state="finished", **logged):
    """A run folder as `fit` leaves it."""
    folder.mkdir(parents=True)
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": lr, "betas": [0.9, 0.99]}}
    logger = {"class_path": "RunLogger", "init_args": {"root": str(folder)}}
    config = {"model": {"optimizer": optimizer}, "trainer": {"max_steps": 3, "logger": logger}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "run.json").write_text(json.dumps({"state": state}))
    lines = ["step,train/loss," + ",".join(logged)]
    lines += [f"{step},{loss}," for step, loss in enumerate(losses, 1)]
    lines += [f"{len(losses)},," + ",".join(map(str, logged.values()))]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_runs_are_compared_by_what_differs_and_what_came_of_it(tmp_path, capsys):
    write_run(tmp_path / "a" / "0", 1e-3, [3.0, 1.0, 2.0], **{"validate/accuracy": 0.5})
    write_run(tmp_path / "b" / "0", 1e-2, [3.0, 2.5], "failed: no", **{"validate/accuracy": 0.7})
    main([str(tmp_path / "a" / "0"), str(tmp_path / "b"), f"--folder={tmp_path / 'out'}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "lr", "validate/accuracy", "state"]
    assert lines[1].split() == ["a/0", "0.001", "0.5"]
    assert lines[2].split() == ["b/0", "0.01", "0.7", "failed:", "no"]
    first, second = read(tmp_path / "out" / "comparison.csv")
    assert first["model.optimizer.init_args.lr"] == "0.001"
    assert (first["train/loss"], first["best train/loss"]) == ("2.0", "1.0")
    assert second["best validate/accuracy"] == "0.7"
    assert not any("max_steps" in key or "logger" in key for key in first)
    points = read(tmp_path / "out" / "curves.csv")
    assert len([p for p in points if p["run"] == "a/0" and p["quantity"] == "train/loss"]) == 3
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5000


def test_runs_that_log_nothing_in_common_stand_side_by_side_too(tmp_path):
    write_run(tmp_path / "0", 1e-3, [3.0])
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.yaml").write_text("model: {depth: 2}\n")
    runs = [Run("first", [tmp_path / "0"]), Run("second", [tmp_path / "1"])]
    lines = list(SideBySide(runs, tmp_path / "out").write())
    assert "train/loss" in lines[0]
    assert lines[2].startswith("second")
    assert not (tmp_path / "out" / "curves.png").exists()


def test_options_of_one_class_alone_are_in_the_file_and_not_in_the_table(tmp_path):
    for name, more in (("a", "amsgrad: true"), ("b", "momentum: 0.9")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"class_path: m.{name}\ninit_args: {{{more}}}")
    runs = [Run(name, [tmp_path / name]) for name in "ab"]
    lines = list(SideBySide(runs, tmp_path / "out").write())
    assert lines[0].split()[:2] == ["run", "class_path"]
    assert "amsgrad" not in lines[0]
    first, second = read(tmp_path / "out" / "comparison.csv")
    assert (first["init_args.amsgrad"], second["init_args.amsgrad"]) == ("True", "")


def test_what_is_no_run_is_refused(tmp_path):
    write_run(tmp_path / "tiny" / "0", 1e-3, [3.0])
    with refused(rf"{tmp_path}/tin: there is no such run; did you mean {tmp_path}/tiny\?"):
        main([str(tmp_path / "tin")])
    with refused("is no run folder: it holds neither metrics.csv nor config.yaml nor numbered"):
        main([str(tmp_path)])
    with refused("tiny/0 is named twice"):
        main([str(tmp_path / "tiny"), str(tmp_path / "tiny" / "0")])


@pytest.mark.parametrize("name", ["validate/loss", "validate/bits_per_byte", "test/frechet"])
def test_less_is_better_of_losses_and_distances(name):
    assert is_lower_better(name)
    assert not is_lower_better("validate/accuracy")
