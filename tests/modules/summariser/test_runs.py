"""Small runs of the summariser through the command line: on two ranks, and resumed."""

import csv
import json
import math

import pytest
import torch
import yaml
from transformers import RobertaConfig, RobertaForSequenceClassification

from cli import main
from datamodules.synthetic.newsroom.reader import NewsroomMeasures
from modules.summariser.evaluate import StanceKept
from tests.fixtures.runs import (
    fit,
    fit_on_ranks,
    last,
    losses,
    newest_run,
    weights,
    write_small_run,
)

WORDS, GUIDE = "assets/newsroom_words", "assets/newsroom_guide"
NEWS = "datamodules.synthetic.newsroom.source.NewsroomArticles"

MODEL = "--model.init_args"
BLOCKS = (f"{MODEL}.block_size=4",)
MASKED = (
    f"{MODEL}.process=modules.summariser.processes.masked.Masked",
    f"{MODEL}.schedule=modules.diffusion.schedule.EvenSchedule",
)


def source(num, seed):
    return {"class_path": NEWS, "init_args": {"num": num, "seed": seed}}


@pytest.fixture
def config(tmp_path):
    """Five articles in batches of two: on two ranks, one has an empty batch at the end."""
    network = {
        "class_path": "modules.summariser.network.prefix.PrefixDenoiser",
        "init_args": {"summary_length": 16, "width": 16, "depth": 2, "heads": 2, "inner": 16},
    }
    judge = {
        "class_path": "modules.summariser.evaluate.StanceKept",
        "init_args": {"source": GUIDE, "name": "guide"},
    }
    reader = {"class_path": "datamodules.synthetic.newsroom.reader.NewsroomMeasures"}
    model = {
        "class_path": "modules.summariser.system.Summariser",
        "init_args": {
            "tokenizer": WORDS,
            "network": network,
            "control": {"guides": [{"source": GUIDE}], "strength": 300.0},
            "generation": {"num_steps": 2},
            "measures": [reader, judge],
            "trace": {"num_summaries": 3, "num_steps": 2},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        },
    }
    data = {
        "class_path": "datamodules.articles.datamodule.ArticleData",
        "init_args": {
            "tokenizer": WORDS,
            "train": [source(40, 0)],
            "validate": [source(5, 1)],
            "test": [source(5, 2)],
            "article_length": 56,
            "summary_length": 16,
            "batch_size": 4,
            "eval_batch_size": 2,
            "cache": str(tmp_path / "cache"),
        },
    }
    path = write_small_run(tmp_path, {"model": model, "data": data})
    added = [{"class_path": "callbacks.findings.FindingFiles"}]
    whole = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(whole | {"trainer": whole["trainer"] | {"callbacks+": added}}))
    return path


def measured(run, stage):
    """The quantities of an evaluation."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get(f"{stage}/loss")]
    [row] = rows
    return {name: float(value) for name, value in row.items() if name.startswith(stage) and value}


def settled(run):
    """Id, and texts at the kept steps, of the summaries that were followed."""
    records = [json.loads(line) for line in (run / "traces.jsonl").read_text().splitlines()]
    assert len(records) == 3
    assert (run / "traces" / "000.png").exists()
    return [(one["id"], one["summary"], [step["text"] for step in one["steps"]]) for one in records]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_test_as_one_process_though_one_runs_out_of_articles(config, strategy):
    trained = last(fit(config))
    asked = "--data.init_args.asked=[left,right]"
    main(["test", f"--config={config}", trained, asked])
    single = newest_run(config)
    alone = measured(single, "test")
    layer = f"--config=configs/strategy/{strategy}.yaml"
    several = fit_on_ranks(config, 2, layer, trained, asked, command="test")
    together = measured(several, "test")
    assert settled(several) == settled(single)
    for name in ("stance_matrix.csv", "stance_shifts.csv", "request_pairs.csv"):
        assert (several / name).read_text() == (single / name).read_text()
    assert together == pytest.approx(alone, rel=1e-5)
    assert together["test/summaries"] == 10


def test_ranks_that_share_the_weights_train_and_validate_as_ranks_that_each_have_all(config):
    """Both see their predictions in the same steps, though each has noise of its own.

    Summaries are written in blocks, which ask more of a network than whole ones.
    """
    how = ["--trainer.max_steps=6", "--trainer.val_check_interval=3", *BLOCKS]
    shared, whole = (
        fit_on_ranks(config, 2, f"--config=configs/strategy/{name}.yaml", *how)
        for name in ("fsdp2", "ddp")
    )
    assert losses(shared) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("options", [(), (*BLOCKS, *MASKED)])
def test_a_resumed_run_is_the_uninterrupted_one(config, options):
    whole = fit(config, "--trainer.max_steps=6", *options)
    first = fit(config, "--trainer.max_steps=3", *options)
    resumed = fit(config, "--trainer.max_steps=6", *options, last(first))
    assert losses(resumed) == losses(whole)[3:]
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_network_is_told_stances_in_training_and_asked_with_and_without_them(config):
    """Every row of its table is learnt; the checkpoint is tested at another w."""
    token = [f"--model.init_args.stance_token.guide.source={GUIDE}"]
    trained = fit(config, *token, "--model.init_args.stance_token.dropped=0.5")
    told = weights(trained)["network.stance_embedding.weight"]
    assert told.shape == (4, 16)
    assert (told != 0).any(1).all()
    guided = "--model.init_args.stance_token.guidance.scale=3"
    main(["test", f"--config={config}", last(trained), *token, guided])
    assert measured(newest_run(config), "test")["test/summaries"] == 5


def test_blocks_train_three_steps_and_summaries_are_drawn_and_measured(config):
    how = ["--trainer.max_steps=3", "--trainer.val_check_interval=3"]
    run = fit(config, *how, *BLOCKS)
    assert len(losses(run)) == 3
    found = measured(run, "validate")
    assert found["validate/summaries"] == 5
    assert math.isfinite(found["validate/loss"])


def test_guides_of_stance_and_of_facts_steer_at_once_each_by_its_weight(config, tmp_path):
    """The second reads pairs, and its tokenizer lies elsewhere, as FactKB's does."""
    facts = {"source": save_facts(tmp_path / "facts"), "tokenizer": WORDS, "weight": 0.5}
    facts |= {"classes": ["wrong", "right"], "target": "right", "sees": "summary_and_article"}
    scorer = {"class_path": "modules.metrics.text.factuality.Classifier", "init_args": {}}
    scorer["init_args"] |= {"path": facts["source"], "tokenizer": WORDS}
    measure = {"class_path": "modules.decoding.evaluate.Faithful", "init_args": {"scorer": scorer}}
    trained = last(fit(config, "--trainer.max_steps=1"))
    guides = f"--model.init_args.control.guides={json.dumps([{'source': GUIDE}, facts])}"
    measures = f"--model.init_args.measures={json.dumps([measure])}"
    main(["test", f"--config={config}", trained, guides, measures])
    found = measured(newest_run(config), "test")
    assert found["test/summaries"] == 5
    assert 0 < found["test/factuality"] < 1


def save_facts(folder):
    """A classifier of two classes with the words of the news, without a tokenizer; its folder."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    more = {"num_attention_heads": 2, "vocab_size": 512, "type_vocab_size": 1, "num_labels": 2}
    named = {"id2label": {0: "wrong", 1: "right"}, "label2id": {"wrong": 0, "right": 1}}
    config = RobertaConfig(max_position_embeddings=90, **size, **more, **named)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


def test_a_prediction_says_what_each_reader_reads_before_and_after_traced_or_not(config, tmp_path):
    article = "Mercer freed the harbour in Saltmere. The Oak Party spoke of thrift."
    rows = [{"id": "a", "article": article, "asked": ["left", "right"]}, {"article": "Rain fell."}]
    (tmp_path / "news.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ["predict", f"--config={config}", f"--data.init_args.texts={tmp_path}/news.jsonl"]
    main([*given, "--untrained"])
    traced = newest_run(config)
    main([*given, "--untrained", "--model.init_args.trace=null"])
    records = predicted(newest_run(config))
    assert predicted(traced) == records
    assert settled(traced)
    assert not (newest_run(config) / "traces.jsonl").exists()
    assert [(one["id"], one["stance"]) for one in records[:2]] == [("a", "")] * 2
    assert [one["asked"] for one in records[:2]] == ["left", "right"]
    for reader in (StanceKept(GUIDE, "guide"), NewsroomMeasures()):
        for key in ("article", "summary"):
            wanted = reader.named([one[key] for one in records])
            assert [one[f"{reader.name}_{key}"] for one in records] == wanted
    assert records[0]["newsroom_article"] == {"left": 0, "center": 0, "right": 1}


def predicted(run):
    """The records of a prediction."""
    return [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
