"""The classifier of the stance of synthetic news, by the commands that it is for."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli import main
from modules.classifier.labelled import read_labelled
from tests.fixtures.systems.classifier import few

CONFIGS = Path(__file__).parents[3] / "configs"
FEW = few({"train": 40, "val": 40, "test": 40})


@pytest.fixture
def command(tmp_path):
    """Runs a command of the config on a few texts and gives its run folder."""
    own = [
        f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
        f"--data.init_args.cache={tmp_path / 'cache'}",
    ]
    layers = [f"--config={CONFIGS / one}.yaml" for one in ("classifier/newsroom", "debug")]

    def run(verb: str, *extra: str) -> Path:
        main([verb, *layers, *own, FEW, *extra])
        runs = (tmp_path / "runs" / "classifier" / "newsroom").iterdir()
        return max(runs, key=lambda path: int(path.name))

    return run


def test_stances_of_news_are_trained_tested_and_predicted(command):
    fitted = command("fit")
    checkpoint = f"--ckpt_path={fitted / 'checkpoints' / 'last.ckpt'}"
    tested = command("test", checkpoint, '--data.init_args.test.domains=["summaries"]')
    scores = pq.read_table(tested / "scores.parquet").to_pydict()
    assert {*scores["domain"]} == {"summaries"}
    assert len(scores["label"]) == 40
    known = read_labelled(tested / "scores.parquet", ["left", "center", "right"], "summaries")
    assert known.label_N.tolist() == scores["label"]
    texts = '--data.init_args.texts=["Mercer freed the harbour in Saltmere, citing thrift."]'
    lines = (command("predict", checkpoint, texts) / "predictions.jsonl").read_text()
    assert json.loads(lines)["label"] in ("left", "center", "right")
