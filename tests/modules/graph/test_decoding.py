"""Decoding methods on graph questions, through the command line."""

import json

import pytest

from cli import main
from tests.fixtures.remote_runs import lines
from tests.fixtures.runs import latest, measured

READER = "assets/graph_reader"
DATA = {
    "variants": {"incident": {"form": "incident"}, "expert": {"form": "expert"}},
    "of": {"task": "neighbours", "structure": "small", "nodes": [4, 5], "ask": "plain"},
    "num_test": 4,
}
PROMPT = "<|endoftext|>{question}\nA:\n"
METHOD = "--model.init_args.method"


def run(command, folder, *flags):
    main(
        [
            command,
            *flags,
            f"--trainer.logger.init_args.root={folder / 'runs'}",
            "--trainer.accelerator=cpu",
            "--model.init_args.generation.max_new_tokens=40",
            "--model.init_args.generation.temperature=0.0",
            *(f"--data.init_args.{name}={json.dumps(value)}" for name, value in DATA.items()),
        ]
    )
    return latest(folder)


def method(name, **options):
    """A method of the reader alone, whose prompts are those of its own chat template."""
    model = {"path": READER}
    prompt = {
        "class_path": "modules.decoding.harness.tasks.Verbatim",
        "init_args": {"text": PROMPT, "special_tokens": False},
    }
    given = {key: {"model": model, "prompt": prompt}[value] for key, value in options.items()}
    return {"class_path": f"modules.decoding.methods.{name}", "init_args": given}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """What `GraphLM` measures of the same model."""
    trained_on = "--data.init_args.trained_on=[incident]"
    config = "--config=configs/nlgift/tune.yaml"
    small = "--data.init_args.num_validate=1"
    folder = tmp_path_factory.mktemp("local")
    return run("test", folder, config, trained_on, small, "--untrained")


def test_a_single_model_gives_the_verdicts_of_a_graph_model(local, tmp_path):
    plain = method("Plain", model="model", prompt="prompt")
    found, local = measured(decoded(tmp_path, plain)), measured(local)
    of_both = {name.rpartition("/")[2] for name in local if name.startswith("test/incident/")}
    assert "right" in of_both
    for name in of_both & {"right", "wrong", "unparsed", "ambiguous"}:
        mean = (local[f"test/incident/{name}"] + local.get(f"test/expert/{name}", 0.0)) / 2
        assert found[f"test/{name}"] == pytest.approx(mean), name
    assert found["test/right"] > 0


def decoded(folder, given, config="proxy_tuning", command="test"):
    layers = [f"--config=configs/decoding/{one}.yaml" for one in (config, "data/graphs")]
    return run(command, folder, *layers, f"{METHOD}={json.dumps(given)}")


def test_experts_that_agree_change_no_verdict_and_predictions_are_judged_as_well(local, tmp_path):
    given = method("ProxyTuned", base="model", expert="model", antiexpert="model", prompt="prompt")
    records = lines(decoded(tmp_path, given, command="predict") / "predictions.jsonl")
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    mine, theirs = (lines(one / "answers.jsonl") for one in (judged(tmp_path), local))
    assert len(mine) == 8
    assert [one.pop("cut") for one in mine] == [0.0] * 8
    assert mine == theirs


def judged(folder):
    """A test of answers that another run wrote: no endpoint is asked."""
    main(
        [
            "test",
            "--config=configs/nlgift/endpoint.yaml",
            f"--trainer.logger.init_args.root={folder / 'runs'}",
            "--trainer.accelerator=cpu",
            *(f"--data.init_args.{name}={json.dumps(value)}" for name, value in DATA.items()),
            f"--data.init_args.answers={folder / 'said.jsonl'}",
        ]
    )
    return latest(folder)


def test_the_graph_can_be_the_context_that_counts_more(tmp_path):
    given = method("ContextAware", model="model", with_context="prompt")
    given["init_args"]["without_context"] = "{query}"
    assert measured(decoded(tmp_path, given, "context_aware"))["test/questions"] == 8
