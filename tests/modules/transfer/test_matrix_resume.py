"""A grid of detectors that was killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cli import main
from tests.fixtures.detector import write_detector_stand_ins

ROOT = Path(__file__).parents[3]
DETECTORS = ("gpt2-xl", "gpt-j-6B", "pooled")


def grid_file(folder: Path, tokenizer: Path) -> Path:
    """A corner of the shipped matrix in a folder."""
    grid = yaml.safe_load((ROOT / "configs" / "detector" / "matrix.yaml").read_text())
    axes = grid["axes"]
    axes["seed"] = {"seed1": axes["seed"]["seed1"]}
    axes["kind"] = {"encoder": axes["kind"]["encoder"]}
    axes["trained_on"] = {name: axes["trained_on"][name] for name in DETECTORS}
    del grid["skip"], grid["commands"]["attacked"]
    grid["commands"]["fit"] = {"verb": "fit"}
    grid["folder"] = str(folder / "grid")
    grid["options"] = {
        "data.init_args.train.budget": 40,
        "data.init_args.batch_size": 4,
        "data.init_args.max_length": 48,
        "data.init_args.cache": str(folder / "cache"),
        "data.init_args.tokenizer": str(tokenizer),
        "trainer.accelerator": "cpu",
        "trainer.max_steps": 6,
        "trainer.val_check_interval": 3,
    }
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))
    return path


def kill_within_the_second_cell(path: Path) -> None:
    """Run the grid as a user does, and kill it once the second cell has begun."""
    command = [sys.executable, "cli.py", "grid", f"--config={path}"]
    log = path.parent / "grid" / "seed1" / "encoder" / "gpt-j-6B" / "fit.log"
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not log.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9


@pytest.mark.slow
def test_a_matrix_that_was_killed_is_the_one_that_never_stopped(
    tmp_path, tokenizer_folder, monkeypatch
):
    monkeypatch.setenv("TRAINER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRAINER_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(ROOT)
    write_detector_stand_ins(tmp_path / "data", tmp_path / "models", tokenizer_folder)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    kill_within_the_second_cell(grid_file(killed, tokenizer_folder))
    cells = [killed / "grid" / "seed1" / "encoder" / name for name in DETECTORS]
    first = (cells[0] / "test.json").read_bytes()
    assert not (cells[1] / "fit.json").exists()
    for folder in (killed, whole):
        main(["grid", f"--config={grid_file(folder, tokenizer_folder)}"])
    assert (cells[0] / "test.json").read_bytes() == first
    matrices = [folder / "grid" / "matrix" / "encoder" for folder in (whole, killed)]
    names = sorted(os.listdir(matrices[0]))
    assert {"accuracy.csv", "auroc.csv", "acc_gap.csv", "accuracy.png", "words.txt"} <= set(names)
    assert names == sorted(os.listdir(matrices[1]))
    for name in names:
        assert (matrices[0] / name).read_bytes() == (matrices[1] / name).read_bytes(), name
