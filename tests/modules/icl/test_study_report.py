import csv
import json
from pathlib import Path

import pytest
import yaml

from cli import main
from modules.icl.study_report import StudyReport


def run(folder, **logged):
    folder.mkdir(parents=True)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["step", *logged], [0, *logged.values()]])
    return folder


def test_rows_are_means_over_runs_and_their_deviation(tmp_path):
    test = "test/in_context/accuracy"
    cells = [
        ({"order": "a", "trained_on": "random"}, {"test": run(tmp_path / "1", **{test: 0.4})}),
        ({"order": "b", "trained_on": "random"}, {"test": run(tmp_path / "2", **{test: 0.6})}),
        ({"order": "a", "trained_on": "chosen"}, {"test": run(tmp_path / "3", **{test: 0.9})}),
        ({"order": "b", "trained_on": "chosen"}, {"fit": tmp_path}),
    ]
    lines = [*StudyReport().write(tmp_path, cells)]
    with (tmp_path / "study.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [row["trained_on"] for row in rows] == ["random", "chosen"]
    assert float(rows[0]["mean"]) == pytest.approx(0.5)
    assert float(rows[0]["deviation"]) == pytest.approx(0.2 / 2**0.5)
    assert (rows[1]["deviation"], rows[1]["runs"]) == ("", "1")
    assert lines[-1].endswith("study.csv")


def test_the_shipped_study_runs_from_selection_to_table(tmp_path, capsys):
    study = yaml.safe_load(Path("configs/icl/tiny_study.yaml").read_text())
    patterns = "datamodules.synthetic.patterns"
    few = {"class_path": f"{patterns}.questions.PatternQuestions", "init_args": {"num": 8}}
    pool = {"num": 60, "seed": 5, "shares": {"mapping": 0.2}}
    selection = tmp_path / "selection"
    study |= {
        "folder": str(tmp_path / "study"),
        "options": {
            "data.init_args.pool": [
                {"class_path": f"{patterns}.source.PatternText", "init_args": pool}
            ],
            "data.init_args.target": [few],
            "data.init_args.tasks": {"in_context": [few]},
            "data.init_args.cache": str(tmp_path / "cache"),
            "model.init_args.selection.k": 8,
            "trainer.max_steps": 2,
        },
    }
    study["axes"]["order"] = {"order1": {"data.init_args.seed": 201}}
    study["skip"] = []
    axis = study["axes"]["trained_on"]
    axis["supportive"]["data.init_args.train"][0]["init_args"]["path"] = str(
        selection / "selected.parquet"
    )
    study["axes"]["trained_on"] = {name: axis[name] for name in ("nothing", "supportive")}
    study["commands"]["select"]["options"]["folder"] = str(selection)
    study["commands"]["fit"]["only"] = [{"trained_on": "supportive"}]
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    main(["grid", f"--config={config}"])
    said = capsys.readouterr().err
    assert "in_context/accuracy" in said
    receipt = tmp_path / "study" / "order1" / "supportive" / "select.json"
    assert json.loads(receipt.read_text())["command"][2] == "select"
    main(["grid", f"--config={config}"])  # nothing is left to run
    assert not list((tmp_path / "study" / "order1" / "supportive").glob("2"))
