"""Detectors through the command line."""

import csv
import io
import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from cli import main
from tests.fixtures.machine_texts import made_up, write
from tests.fixtures.runs import fit, fit_on_ranks, losses, metrics, newest_run, refused, weights

OPTIONS = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "mlp_dropout": 0.1,
    "classifier_pooling": "mean",
}


@pytest.fixture(scope="module")
def config(tmp_path_factory, tokenizer_folder):
    """A tiny encoder with dropout on made-up texts; machines give their names away."""
    folder = tmp_path_factory.mktemp("detector")
    path = write(made_up(num=25), folder / "texts.parquet")
    labels = {"path": str(path), "labels": {"1": "human", "0": "machine"}}
    network = {"class_path": "modules.classifier.network.FromConfig"}
    network["init_args"] = {"options": OPTIONS}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}}
    logger = {"class_path": "engine.run.logger.RunLogger"}
    logger["init_args"] = {"root": str(folder / "runs"), "tensorboard": False}
    model = {"network": network, "tokenizer": str(tokenizer_folder), "optimizer": optimizer}
    data = {
        "tokenizer": str(tokenizer_folder),
        "sources": [
            {"class_path": "datamodules.labelled_text.source.LabelledText", "init_args": labels}
        ],
        "train": {"split": "train", "budget": 40},
        "max_length": 48,
        "batch_size": 8,
        "cache": str(folder / "cache"),
    }
    options = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "max_steps": 4}
    callbacks = [{"class_path": "callbacks.scores.Scores"}]
    whole = {
        "model": {"class_path": "modules.classifier.system.TextClassifier", "init_args": model},
        "data": {
            "class_path": "datamodules.labelled_text.datamodule.LabelledTextData",
            "init_args": data,
        },
        "trainer": {**options, "log_every_n_steps": 1, "logger": logger, "callbacks+": callbacks},
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(whole))
    return path


@pytest.fixture(scope="module")
def begun(config):
    """A run of four steps without validation."""
    return fit(config)


@pytest.fixture(scope="module")
def trained(config):
    """A run that has learnt, and was validated."""
    return fit(config, "--trainer.max_steps=40", "--trainer.val_check_interval=40")


@pytest.fixture(scope="module")
def exported(config, trained, tmp_path_factory):
    """Its Hugging Face folder."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    main(["export", f"--config={config}", last(trained), f"--folder={folder}"])
    return folder


def last(run):
    return f"--ckpt_path={run}/checkpoints/last.ckpt"


def scores(run):
    import pyarrow.parquet as pq

    return pq.read_table(run / "scores.parquet").to_pydict()


def logged_metrics(run):
    """What the test logged."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("test/accuracy")]
    return {name: float(value) for row in rows for name, value in row.items() if value}


def test_a_resumed_run_is_the_one_that_never_stopped(config, begun):
    resumed = fit(config, "--trainer.max_steps=7", last(begun))
    whole = fit(config, "--trainer.max_steps=7")
    assert losses(resumed) == losses(whole)[4:]
    a, b = weights(resumed), weights(whole)
    assert all(torch.equal(a[name], value) for name, value in b.items())


@pytest.mark.slow
def test_a_step_in_parts_is_the_step(config, tmp_path):
    same = ["--model.init_args.network.init_args.options.mlp_dropout=0", "--trainer.max_steps=2"]
    same.append("--data.init_args.pool_size=1")
    parts = ["--data.init_args.batch_size=4", "--trainer.accumulate_grad_batches=2"]
    whole, split = fit(config, *same), fit(config, *same, *parts)
    assert losses(split) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.slow
def test_two_ranks_test_every_text_once(config, trained):
    single = fit(config, last(trained), "--trainer.max_steps=41", "--trainer.val_check_interval=41")
    halves = ["--data.init_args.batch_size=4", "--trainer.strategy=ddp", "--trainer.max_steps=41"]
    two = fit_on_ranks(config, 2, last(trained), *halves, "--trainer.val_check_interval=41")
    calibrations = [
        torch.load(run / "checkpoints" / "last.ckpt")["calibration"] for run in (single, two)
    ]
    assert calibrations[0]["num_negative"] == calibrations[1]["num_negative"] == 10


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


def test_the_checkpoint_keeps_what_validation_said(config, trained):
    kept = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["calibration"]
    assert kept["step"] == 40
    assert kept["num_negative"] == 10
    main(["test", f"--config={config}", last(trained)])
    table = scores(newest_run(config))
    odds = [score / kept["temperature"] + kept["offset"] for score in table["score"]]
    p = [1 / (1 + math.exp(-logit)) for logit in odds]
    assert table["p_machine"] == pytest.approx(p, rel=1e-6)


def watching(name):
    """An argument: training ends where a quantity no longer gets better."""
    options = {"monitor": name, "patience": 9}
    watcher = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": options}
    return f"--trainer.callbacks+={json.dumps(watcher)}"


def test_a_step_that_is_saved_and_validated_keeps_what_its_validation_said(config, tmp_path):
    every = {
        "class_path": "engine.run.every_n_steps.StepCheckpoints",
        "init_args": {"every_n_steps": 2},
    }
    whole = yaml.safe_load(config.read_text())
    del whole["trainer"]["callbacks+"]
    whole["trainer"]["callbacks"] = [{"class_path": "callbacks.report.Report"}, every]
    whole["trainer"]["logger"]["init_args"]["root"] = str(tmp_path / "runs")
    saving = tmp_path / "tiny" / "lines.yaml"
    saving.parent.mkdir()
    saving.write_text(yaml.safe_dump(whole))
    validated = ["--trainer.val_check_interval=2", "--trainer.max_steps=6"]
    run = fit(saving, *validated, watching("validate/auroc"))
    with (run / "metrics.csv").open() as file:
        given = {name for name in next(csv.reader(file)) if name.startswith("validate/")}
    with refused("; there are ") as refusal:
        fit(saving, *validated, watching("validate/auc"))
    assert given == set(refusal.value.reason.partition("; there are ")[2].split(", "))
    kept = sorted((run / "checkpoints").glob("step*.ckpt"))
    steps = [torch.load(path, weights_only=True)["calibration"]["step"] for path in kept]
    assert steps == [2, 4, 6]
    resumed = fit(saving, f"--ckpt_path={kept[0]}", *validated)
    rows = [row["validate/loss"] for row in metrics(run) if "validate/loss" in row]
    assert [row["validate/loss"] for row in metrics(resumed) if "validate/loss" in row] == rows[1:]
    a, b = weights(resumed), weights(run)
    assert all(torch.equal(a[name], value) for name, value in b.items())


def test_a_checkpoint_without_validation_says_so(config, begun):
    with pytest.warns(UserWarning, match="calibrated at step -1, but its weights are of step 4"):
        main(["test", f"--config={config}", last(begun)])


def predicted(config, run, *extra):
    main(["predict", f"--config={config}", last(run), *extra])
    lines = (newest_run(config) / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


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


def test_a_pretrained_folder_becomes_a_detector_of_other_classes(config, exported, tmp_path):
    rows = [
        {"text": f"text {i} of {'some few many'.split()[i % 3]} words", "label": str(i % 3)}
        | {"split": ("train", "val")[i % 5 == 0]}
        for i in range(60)
    ]
    path = write(rows, tmp_path / "stance.jsonl")
    table = {"path": str(path), "labels": {"0": "left", "1": "center", "2": "right"}}
    source = {"class_path": "datamodules.labelled_text.source.LabelledText", "init_args": table}
    network = {"class_path": "modules.classifier.network.Pretrained"}
    network["init_args"] = {"source": str(exported)}
    names = json.dumps(["left", "center", "right"])
    flags = [
        f"--model.init_args.network={json.dumps(network)}",
        f"--model.init_args.classes={names}",
        "--model.init_args.class_weights=[1.0, 0.5, 1.0]",
        f"--data.init_args.classes={names}",
        f"--data.init_args.sources={json.dumps([source])}",
        "--data.init_args.train.budget=30",
        "--data.init_args.test.split=val",
        "--trainer.val_check_interval=4",
    ]
    run = fit(config, *flags)
    main(["test", f"--config={config}", last(run), *flags])
    columns = scores(newest_run(config))
    assert {"p_left", "p_center", "p_right"} < set(columns)
    total = np.array([columns[f"p_{name}"] for name in ("left", "center", "right")]).sum(0)
    assert total == pytest.approx(np.ones(12))
    records = predicted(config, run, *flags, '--data.init_args.texts=["text 3 of some words"]')
    assert records[0]["label"] in ("left", "center", "right")


@pytest.mark.slow
def test_a_ready_classifier_is_tested_and_predicts_without_a_fit(config, trained, exported):
    network = {"class_path": "modules.classifier.network.Pretrained"}
    network["init_args"] = {"source": str(exported)}
    ready = f"--model.init_args.network={json.dumps(network)}"
    main(["test", f"--config={config}", ready])
    table = scores(newest_run(config))
    main(["test", f"--config={config}", last(trained)])
    assert table["score"] == pytest.approx(scores(newest_run(config))["score"], abs=1e-5)
    texts = json.dumps(["the cat sat under the large large moon"])
    main(["predict", f"--config={config}", ready, f"--data.init_args.texts={texts}"])
    line = (newest_run(config) / "predictions.jsonl").read_text()
    assert "no validation text has decided" in json.loads(line)["verdict"]


BASELINES = {
    "Tfidf": {"class_path": "modules.detector.tfidf.Tfidf", "init_args": {"least_texts": 1}},
    "FastDetectGPT": {
        "class_path": "modules.detector.zero_shot.FastDetectGPT",
        "init_args": {
            "network": {
                "class_path": "modules.causal_lm.network.FromConfig",
                "init_args": {
                    "options": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
                    | {"num_attention_heads": 2, "num_key_value_heads": 2}
                },
            }
        },
    },
}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_tested_and_predicts_without_a_fit(config, name, tokenizer_folder, tmp_path):
    pytest.importorskip("sklearn")
    method = BASELINES[name]
    if name != "Tfidf":
        method["init_args"]["tokenizer"] = str(tokenizer_folder)
    whole = yaml.safe_load(config.read_text())
    whole["model"] = {"class_path": "modules.detector.baseline.Baseline"}
    whole["model"]["init_args"] = {"method": method}
    whole["trainer"]["logger"]["init_args"]["root"] = str(tmp_path / "runs")
    path = tmp_path / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(whole))
    main(["test", f"--config={path}"])
    table = scores(newest_run(path))
    assert len(table["id"]) == 40
    if name == "Tfidf":
        right = [(p >= 0.5) == (y == 1) for p, y in zip(table["p_machine"], table["label"])]  # noqa: B905
        assert np.mean(right) > 0.9
    foreign = "\u4eba\u5de5\u667a\u80fd " * 30
    texts = json.dumps(["a dog ran over", "", foreign])
    main(["predict", f"--config={path}", f"--data.init_args.texts={texts}"])
    lines = (newest_run(path) / "predictions.jsonl").read_text().splitlines()
    first, second, third = map(json.loads, lines)
    assert 0 < first["p_machine"] < 1
    assert first["num_human"] == 10
    assert "another language" in third["note"]
    assert second["problem"] == "empty"


def test_a_window_longer_than_the_context_is_refused(config):
    with refused("more than the encoder's context of 64"):
        fit(config, "--data.init_args.max_length=99")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--model.init_args.class_weights=[1.0]", "1 weights, 2 classes"),
        ("--model.init_args.target_fpr=1.0", r"must lie in \(0, 1\), got 1.0"),
        ('--model.init_args.classes=["one"]', "at least two"),
    ],
)
def test_bad_options_are_refused(config, flag, message, capsys):
    with pytest.raises(SystemExit):
        fit(config, flag)
    assert re.search(message, capsys.readouterr().err)


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
