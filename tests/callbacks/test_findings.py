import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image

from callbacks.findings import FindingFiles


class Finds:
    """A system with a finding of each kind."""

    def findings(self):
        return {
            "rows.jsonl": [{"p": 0.5, "bad": float("nan")}, {"text": "é"}],
            "more/table.csv": [{"a": 1, "b": "x, y"}, {"a": 2, "b": ""}],
            "picture.png": Image.new("RGB", (3, 2), "red"),
        }


def trainer(folder, fn=TrainerFn.TESTING, is_first=True):
    said = []
    return SimpleNamespace(
        logger=True,
        log_dir=str(folder),
        is_global_zero=is_first,
        state=SimpleNamespace(fn=fn),
        print=said.append,
        said=said,
    )


def test_findings_become_files_that_are_named_on_the_terminal(tmp_path):
    run = trainer(tmp_path)
    FindingFiles().on_test_end(run, Finds())
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"p": 0.5, "bad": None}, {"text": "é"}]
    with (tmp_path / "more" / "table.csv").open() as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", "x, y"], ["2", ""]]
    with Image.open(tmp_path / "picture.png") as image:
        assert (np.asarray(image.convert("RGB")) == (255, 0, 0)).all()
    assert [line.split()[-1] for line in run.said] == [
        str(tmp_path / name) for name in ("rows.jsonl", "more/table.csv", "picture.png")
    ]


@pytest.mark.parametrize(
    ("event", "fn", "is_first", "num"),
    [
        ("on_validation_end", TrainerFn.VALIDATING, True, 3),
        ("on_validation_end", TrainerFn.FITTING, True, 0),
        ("on_predict_end", TrainerFn.PREDICTING, True, 3),
        ("on_test_end", TrainerFn.TESTING, False, 0),
    ],
)
def test_rank_0_alone_writes_and_no_validation_within_training(tmp_path, event, fn, is_first, num):
    getattr(FindingFiles(), event)(trainer(tmp_path, fn, is_first), Finds())
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == num


def test_a_system_without_findings_is_refused():
    with pytest.raises(TypeError, match="object has no findings"):
        FindingFiles().setup(None, object(), "test")
