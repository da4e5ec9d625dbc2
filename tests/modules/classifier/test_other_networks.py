"""Pretrained folders, published classifiers and baselines, tested without training from scratch."""

import json

import numpy as np
import pytest
import yaml

from cli import main
from tests.fixtures.classifier_runs import predicted, scores
from tests.fixtures.machine_texts import write
from tests.fixtures.runs import fit, last, newest_run


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
