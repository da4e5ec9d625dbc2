"""The configs of detectors, each by the commands that it is for."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli import main
from tests.fixtures.configs import own_precision
from tests.fixtures.detector import GENERATORS, SHORT, write_detector_stand_ins

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture
def command(tmp_path, tokenizer_folder, monkeypatch):
    """Runs a command of a config on stand-ins and returns its run folder."""
    monkeypatch.setenv("TRAINER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRAINER_MODELS", str(tmp_path / "models"))
    write_detector_stand_ins(tmp_path / "data", tmp_path / "models", tokenizer_folder)
    root = f"--trainer.logger.init_args.root={tmp_path / 'runs'}"

    def run(verb: str, name: str, *extra: str) -> Path:
        name = name if "/" in name else f"detector/{name}"
        layers = [f"--config={CONFIGS / layer}" for layer in (f"{name}.yaml", "debug.yaml")]
        layers.append(f"--trainer.precision={own_precision(CONFIGS / f'{name}.yaml')}")
        main([verb, *layers, root, *extra])
        runs = (tmp_path / "runs" / name).iterdir()
        return max(runs, key=lambda path: int(path.name))

    run.cache = f"--data.init_args.cache={tmp_path / 'cache'}"
    run.tokenizer = f"--data.init_args.tokenizer={tokenizer_folder}"
    return run


def judged_generators(run: Path) -> set[str]:
    return set(pq.read_table(run / "scores.parquet")["generator"].to_pylist())


@pytest.mark.parametrize("name", ["tiny", "roberta"])
def test_an_encoder_trains_three_steps_and_is_tested_on_every_generator(command, name):
    flags = [*SHORT, command.cache, *([command.tokenizer] if name == "tiny" else [])]
    fitted = command("fit", name, '--data.init_args.train.generators=["gpt2-xl"]', *flags)
    checkpoint = f"--ckpt_path={fitted / 'checkpoints' / 'last.ckpt'}"
    tested = command("test", name, checkpoint, *flags)
    assert judged_generators(tested) == {"human", *GENERATORS}
    texts = '--data.init_args.texts=["the cat sat under the moon", ""]'
    lines = (command("predict", name, checkpoint, texts, *flags) / "predictions.jsonl").read_text()
    first, second = map(json.loads, lines.splitlines())
    assert 0 < first["p_machine"] < 1
    assert second["problem"] == "empty"


def test_leanings_of_articles_are_three_classes(command):
    flags = [*(flag for flag in SHORT if "budget" not in flag), command.cache, command.tokenizer]
    flags += [f"--data.init_args.{part}.generators=null" for part in ("train", "validate", "test")]
    fitted = command("fit", "classifier/stance", *flags)
    checkpoint = f"--ckpt_path={fitted / 'checkpoints' / 'last.ckpt'}"
    tested = command("test", "classifier/stance", checkpoint, *flags)
    table = pq.read_table(tested / "scores.parquet").to_pydict()
    assert table["label"] == [0, 1, 2] * 4
    assert sum(table[f"p_{name}"][0] for name in ("left", "center", "right")) == pytest.approx(1)
    assert table["domain"] == ["article"] * 6 + ["title"] * 6
    texts = '--data.init_args.texts=["the cat sat under the moon"]'
    lines = command("predict", "classifier/stance", checkpoint, texts, *flags) / "predictions.jsonl"
    assert json.loads(lines.read_text())["label"] in ("left", "center", "right")


@pytest.mark.parametrize("name", ["tfidf", "zero_shot", "published"])
def test_a_baseline_is_tested_on_every_generator(command, name):
    pytest.importorskip("sklearn")
    budget = ["--data.init_args.train.budget=40"] if name == "tfidf" else []
    run = command("test", name, command.cache, command.tokenizer, *budget)
    assert judged_generators(run) == {"human", *GENERATORS}


def test_validation_is_of_the_generators_that_training_is_of(command):
    fitted = command(
        "fit", "tiny", '--data.init_args.train.generators=["opt-2.7b"]', *SHORT, command.cache,
        command.tokenizer,
    )  # fmt: skip
    config = (fitted / "config.yaml").read_text()
    assert config.split("validate:")[1].split("test:")[0].count("opt-2.7b") == 1


def test_pairs_are_written_by_a_language_model(command):
    written = "--data.init_args.written=null"
    short = ["--model.init_args.least_tokens=5", "--model.init_args.generation.max_new_tokens=10"]
    few = ["--data.init_args.num=3", "--data.init_args.least_words=20"]
    run = command("predict", "write", written, *short, *few, "--trainer.limit_predict_batches=1")
    records = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert {record["pair_id"] for record in records} == {f"xsum-{i}" for i in range(3)}
