import json
import os
import shutil

import pytest

from cli import main
from modules.icl.selection.scoring import GradientScores, read_table
from tests.fixtures.runs import ends_on_ranks

PATTERNS = "datamodules.synthetic.patterns.source.PatternText"
QUESTIONS = "datamodules.synthetic.patterns.questions.PatternQuestions"
POOL = {"num": 61, "seed": 5, "shares": {"mapping": 0.2}}
FIRST_PASS = 5
"""Batches of the second rank in a pass: of eleven, two in each file but the last."""


def of(class_path, **arguments):
    return [{"class_path": class_path, "init_args": arguments}]


@pytest.fixture
def small(tmp_path):
    """A config file in a folder of its own, and options of a small pool and task."""
    config = tmp_path / "icl" / "tiny.yaml"
    config.parent.mkdir()
    shutil.copy("configs/icl/tiny.yaml", config)
    shutil.copy("configs/icl/base.yaml", config.parent)
    selection = {"k": 9, "iterations": 2, "rows_per_batch": 6, "save_every": 2}
    return config, [
        f"--data.init_args.pool={json.dumps(of(PATTERNS, **POOL))}",
        f"--data.init_args.target={json.dumps(of(QUESTIONS, num=12, seed=6))}",
        "--data.init_args.tasks={}",
        f"--data.init_args.cache={tmp_path / 'cache'}",
        f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
        "--trainer.accelerator=cpu",
        *(f"--model.init_args.selection.{name}={value}" for name, value in selection.items()),
    ]


def selected(folder):
    return read_table(folder / "scores.parquet"), read_table(folder / "selected.parquet")


def same(first, second):
    """Whether the same documents are selected, with scores equal to 1e-5."""
    assert first[1]["id"] == second[1]["id"]
    assert first[0].keys() == second[0].keys()
    for name, values in first[0].items():
        if isinstance(values[0], float):
            assert second[0][name] == pytest.approx(values, rel=1e-5, abs=1e-5)
        else:
            assert second[0][name] == values


def on_ranks(small, folder, strategy="ddp"):
    config, options = small
    layer = f"--config=configs/strategy/{strategy}.yaml"
    return ends_on_ranks(config, 2, layer, *options, f"--folder={folder}", command="select")


@pytest.fixture
def alone(small, tmp_path):
    config, options = small
    main(["select", f"--config={config}", *options, f"--folder={tmp_path / 'alone'}"])
    return selected(tmp_path / "alone")


def test_two_ranks_select_as_one_process_and_go_on_where_both_were_stopped(
    small, alone, tmp_path, monkeypatch
):
    """One rank ends in the middle of the second pass; the other writes what it had begun."""
    folder, calls, score = tmp_path / "both", [], GradientScores.__call__

    def ending(self, batch):
        calls.append(batch)
        if os.environ["RANK"] == "1" and len(calls) == FIRST_PASS + 4:
            os._exit(9)  # as if it were killed
        return score(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(GradientScores, "__call__", ending)
        codes, logs = on_ranks(small, folder)
    assert codes[1] == 9, logs
    assert codes[0] not in (0, None)  # it learns that the other one is gone
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    second = sorted(path.name for path in kept if path.parent.name == "iteration_2")
    assert second == [f"part_{number:06d}.parquet" for number in (0, 1, 2, 4)]
    codes, logs = on_ranks(small, folder)
    assert codes == [0, 0], logs
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in folder.rglob("*.parquet")}.items()
    same(selected(folder), alone)


def test_under_a_strategy_that_shards_two_ranks_select_as_one_process(small, alone, tmp_path):
    codes, logs = on_ranks(small, tmp_path / "sharded", "fsdp2")
    assert codes == [0, 0], logs
    same(selected(tmp_path / "sharded"), alone)
