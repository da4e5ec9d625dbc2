"""A language model that writes pairs for detectors, through the command line."""

import json

import pytest
import yaml

from cli import main
from datamodules.labelled_text.source import LabelledText
from modules.causal_lm.generate import Generation
from modules.detector.writer import RECIPE, Writer, first_words
from tests.fixtures.machine_texts import made_up, write
from tests.fixtures.runs import refused

OPTIONS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}


@pytest.fixture(scope="module")
def config(tmp_path_factory, tokenizer_folder):
    """An untrained language model that continues six human texts, two at a time."""
    folder = tmp_path_factory.mktemp("writer")
    table = {"path": str(write(made_up(num=3), folder / "texts.parquet"))}
    table["labels"] = {"1": "human", "0": "machine"}
    network = {"class_path": "modules.causal_lm.network.FromConfig"}
    network["init_args"] = {"options": OPTIONS | HEADS}
    generation = {"max_new_tokens": 30, "temperature": 2.0, "top_k": 50, "top_p": 0.96}
    model = {"name": "toy", "tokenizer": str(tokenizer_folder), "network": network}
    data = {
        "tokenizer": str(tokenizer_folder),
        "sources": [
            {"class_path": "datamodules.labelled_text.source.LabelledText", "init_args": table}
        ],
        "prompt_words": 8,
        "least_words": 20,
        "written": str(folder / "runs/tiny/lines/*/predictions*.jsonl"),
        "batch_size": 2,
    }
    logger = {"class_path": "engine.run.logger.RunLogger"}
    logger["init_args"] = {"root": str(folder / "runs"), "tensorboard": False}
    options = {"generation": generation, "least_tokens": 25, "tries": 3}
    whole = {
        "model": {"class_path": "modules.detector.writer.Writer", "init_args": model | options},
        "data": {
            "class_path": "datamodules.labelled_text.pair_prompts.HumanPrompts",
            "init_args": data,
        },
        "trainer": {"accelerator": "cpu", "precision": "32-true", "logger": logger},
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(whole))
    return path


ONE = "--trainer.limit_predict_batches=1"


def test_a_run_that_was_stopped_goes_on_and_all_runs_make_one_table(config):
    main(["predict", f"--config={config}", "--untrained", ONE])
    main(["predict", f"--config={config}", "--untrained"])
    runs = config.parent.parent / "runs" / "tiny" / "lines"
    files = sorted(runs.glob("*/predictions.jsonl"))
    records = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    assert [len({record["pair_id"] for record in part}) for part in records] == [2, 4]
    pairs = {}
    for record in (record for part in records for record in part):
        pairs.setdefault(record["pair_id"], {})[record["label"]] = record
    assert len(pairs) == 6
    whole = [pair for pair in pairs.values() if "human" in pair]
    assert whole
    for pair in whole:
        human, machine = pair["human"], pair["machine"]
        assert human["text"].split()[:7] == machine["text"].split()[:7]
        assert len(human["text"].split()) == len(machine["text"].split())
        assert machine["generator"] == machine["paired_generator"] == "toy"
        assert (human["generator"], human["paired_generator"]) == ("human", "toy")
    table = LabelledText(str(runs / "*/predictions.jsonl"))  # a toy's bytes may be no text
    assert {row.pair_id for row in table.rows if row.is_human} == {
        pair["human"]["pair_id"] for pair in whole
    }
    with refused("nothing to write"):
        main(["predict", f"--config={config}", "--untrained"])


def test_a_text_does_not_depend_on_the_texts_beside_it(config, tmp_path):
    def written(size):
        flags = [
            f"--data.init_args.batch_size={size}",
            "--data.init_args.written=null",
            "--untrained",
        ]
        flags += ["--untrained"]
        root = tmp_path / str(size)
        main(["predict", f"--config={config}", f"--trainer.logger.init_args.root={root}", *flags])
        lines = next(root.rglob("predictions.jsonl")).read_text().splitlines()
        return {
            (record["pair_id"], record["label"]): record["text"]
            for record in map(json.loads, lines)
        }

    assert written(1) == written(4)


def test_what_never_gets_long_enough_is_told(tokenizer_folder, monkeypatch):
    writer = Writer(None, str(tokenizer_folder), "toy", tries=2)
    drawn = iter([["short", "x" * 300], ["short"]])
    monkeypatch.setattr(Writer, "draw", lambda *_: next(drawn))
    pair = {"pair_id": "p", "domain": "d", "split": "train", "text": "a b c d e"}
    batch = {"row_B": [0, 1], "prompt": ["a b", "a b"], "pair_B": [pair, pair | {"pair_id": "q"}]}
    records = writer.predict_step(batch, 0)
    assert [record["text"] for record in records] == [None, "a b", "a b" + "x" * 300]
    assert first_words("a  b\nc d", 3) == "a  b\nc"
    assert records[0]["problem"] == "no continuation of 100 to 120 tokens in 2 tries"
    assert [record["label"] for record in records[1:]] == ["human", "machine"]


def test_the_recipe_is_the_papers_and_bad_ones_are_refused(tokenizer_folder):
    assert RECIPE == Generation(120, temperature=2.0, top_k=50, top_p=0.96)
    with pytest.raises(ValueError, match="least_tokens is 130, more than the 120"):
        Writer(None, str(tokenizer_folder), "toy", least_tokens=130)
    with pytest.raises(ValueError, match="tries must be at least 1, got 0"):
        Writer(None, str(tokenizer_folder), "toy", tries=0)
