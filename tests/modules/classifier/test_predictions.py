"""Scores and predictions of texts through the command line."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from cli import main
from tests.fixtures.classifier_runs import logged_metrics, predicted, scores
from tests.fixtures.machine_texts import made_up, write
from tests.fixtures.runs import fit, last, newest_run


def test_a_test_writes_a_score_for_every_text(config, trained):
    from sklearn.metrics import roc_auc_score

    attacks = [
        {"class_path": "datamodules.labelled_text.attacks.Whitespace", "init_args": {"share": 0.5}},
        {"class_path": "datamodules.labelled_text.attacks.Truncation", "init_args": {"words": 12}},
    ]
    flag = f"--data.init_args.attacks={json.dumps(attacks)}"
    main(["test", f"--config={config}", last(trained), flag])
    run = newest_run(config)
    columns = {name: np.array(values) for name, values in scores(run).items()}
    names = "id pair_id generator paired_generator domain attack label score p_machine"
    assert list(columns) == names.split()
    rows = made_up(num=25)
    under = {
        name: columns["attack"] == name for name in ("none", "whitespace_0.5", "first_12_words")
    }
    for chosen in under.values():
        ids = columns["id"][chosen].tolist()
        assert ids == [i for i, row in enumerate(rows) if row["split"] == "test"]
        assert columns["label"][chosen].tolist() == [1 - rows[i]["label"] for i in ids]
        for name in ("pair_id", "generator", "paired_generator", "domain"):
            assert columns[name][chosen].tolist() == [rows[i][name] for i in ids]
    plain, spaces = under["none"], under["whitespace_0.5"]
    human = columns["label"][plain] == 0
    assert (columns["score"][plain][human] == columns["score"][spaces][human]).all()
    logged = logged_metrics(run)
    auroc = roc_auc_score(columns["label"][plain], columns["p_machine"][plain])
    assert logged["test/auroc"] == pytest.approx(auroc, abs=1e-4)
    right = (columns["p_machine"][plain] >= 0.5) == columns["label"][plain]
    assert logged["test/accuracy"] == pytest.approx(right.mean(), abs=1e-4)
    assert logged["test/accuracy"] > 0.9
    assert logged["test/num_human"] == 10  # each is cut twice
    assert "test/first_12_words/auroc" in logged
    assert "test/tpr_at_1_fpr" in logged
    kept = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["calibration"]
    called = columns["p_machine"][plain] >= kept["threshold"]
    hits = called[columns["label"][plain] == 1].mean()
    assert logged["test/tpr_at_threshold"] == pytest.approx(hits, abs=1e-4)
    assert 0 <= logged["test/fpr_at_threshold"] <= 1


def test_predictions_of_files_and_the_standard_input_are_the_same(
    config, trained, tmp_path, monkeypatch
):
    human = "the cat sat under the moon and the rain fell so the dog ran over the old house and saw"
    texts = [human, human.replace("the", "large large"), "", "word", f"{human} " * 20]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    records = predicted(config, trained, f"--data.init_args.texts={path}")
    assert [record["origin"] for record in records] == [f"{path}:{i}" for i in range(1, 6)]
    assert [record.get("problem") for record in records] == [
        None,
        None,
        "empty",
        "a single word",
        None,
    ]
    assert records[4]["windows"] > records[0]["windows"] == 1
    kept = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["calibration"]
    for record in (records[0], records[1], records[4]):
        assert record["threshold"] == kept["threshold"]
        assert record["false_positive_rate"] == kept["false_positive_rate"]
        assert record["num_human"] == 10
        assert (record["label"] == "machine") == (record["p_machine"] >= record["threshold"])
    assert records[1]["p_machine"] > records[0]["p_machine"]
    data = io.BytesIO(path.read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=data, isatty=lambda: False))
    again = predicted(config, trained, "--data.init_args.texts=-")
    assert [record.get("p_machine") for record in again] == [
        record.get("p_machine") for record in records
    ]


def test_an_exported_folder_says_the_same(config, trained, exported):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(exported).eval()
    assert model.config.id2label == {0: "human", 1: "machine"}
    tokenizer = AutoTokenizer.from_pretrained(exported)
    text = "the cat sat under the moon and the rain fell so the dog ran"
    (record,) = predicted(config, trained, f"--data.init_args.texts={json.dumps([text])}")
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text), tokenizer.eos_token_id]
    logits = model(torch.tensor([ids])).logits[0]
    kept = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["calibration"]
    odds = (logits[1] - logits[0]) / kept["temperature"] + kept["offset"]
    p = torch.sigmoid(odds).item()
    assert record["p_machine"] == pytest.approx(p, rel=1e-4)


@pytest.mark.slow
def test_one_table_of_yes_and_no_without_splits_becomes_a_detector(config, tmp_path):
    rows = [
        {"body": row["text"], "is_ai": ("yes", "no")[row["label"]], "source": row["pair_id"]}
        for row in made_up(num=25)
    ]
    table = write(rows, tmp_path / "essays.csv")
    whole = yaml.safe_load(config.read_text())
    columns = {"text": "body", "label": "is_ai", "pair_id": "source"}
    source = whole["data"]["init_args"]["sources"][0]["init_args"]
    source |= {"path": str(table), "labels": {False: "human", True: "machine"}, "columns": columns}
    whole["data"]["init_args"]["splits"] = {"train": 0.6, "val": 0.2, "test": 0.2}
    del whole["data"]["init_args"]["train"]
    whole["trainer"]["logger"]["init_args"]["root"] = str(tmp_path / "runs")
    path = tmp_path / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(whole))
    run = fit(path, "--trainer.max_steps=40", "--trainer.val_check_interval=40")
    main(["test", f"--config={path}", last(run)])
    assert set(scores(newest_run(path))["label"]) == {0, 1}
    judged = write(
        [{"id": f"essay {i}", "body": row["body"]} for i, row in enumerate(rows[:20])],
        tmp_path / "new.tsv",
        delimiter="\t",
    )
    texts = [f"--data.init_args.texts={judged}", "--data.init_args.key=body"]
    records = predicted(path, run, *texts)
    assert [record["id"] for record in records] == [f"essay {i}" for i in range(20)]
    assert all(record["verdict"].startswith(record["label"]) for record in records)
    called = np.array([record["label"] == "machine" for record in records])
    assert (called == [row["is_ai"] == "yes" for row in rows[:20]]).mean() > 0.8
