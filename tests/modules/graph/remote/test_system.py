"""A model at an endpoint is asked graph problems, through the command line."""

import json

import pytest

from cli import main
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.problem import problem_of
from datamodules.graphs.questions import GraphQuestions
from datamodules.graphs.task import find_task
from modules.graph.asking import summary
from tests.fixtures.endpoint import serving
from tests.fixtures.remote_runs import lines
from tests.fixtures.runs import latest, measured, refused

NUM = 3
SMALL = {"structure": "small", "nodes": [4, 6], "ask": "format"}
VARIANTS = {"incident": {"form": "incident"}, "expert": {"form": "expert"}}
ASKED = {
    name: [
        one.fields
        for one in GraphQuestions(
            NUM, Distribution(**(SMALL | {"nodes": (4, 6)} | changed))
        ).questions()
    ]
    for name, changed in VARIANTS.items()
}
BUSY = (503, {"retry-after-ms": "1"}, {})


def said(prompt):
    """Right to the first problem of a set, wrong to the second; of the third nothing is said."""
    number, fields = next(
        (number, fields)
        for asked in ASKED.values()
        for number, fields in enumerate(asked)
        if fields["question"] in prompt
    )
    problem = problem_of(fields)
    right = find_task(problem.task).answer(problem)
    wrong = "The answer is no." if "yes" in right else "The answer is yes."
    return (right, wrong, None)[number]


@pytest.fixture
def model():
    with serving() as served:
        served.chat = lambda fields: {
            "message": {"content": said(fields["messages"][-1]["content"])},
            "finish_reason": "stop",
        }
        served.text = lambda fields: {"text": said(fields["prompt"]), "finish_reason": "length"}
        yield served


def run(command, folder, served, *flags):
    data = {"variants": VARIANTS, "of": SMALL, "num_test": NUM}
    main(
        [
            command,
            "--config=configs/nlgift/endpoint.yaml",
            f"--trainer.logger.init_args.root={folder / 'runs'}",
            "--trainer.accelerator=cpu",
            f"--model.init_args.endpoint.init_args.base_url={served.url}",
            *(f"--data.init_args.{name}={json.dumps(value)}" for name, value in data.items()),
            *flags,
        ]
    )
    return latest(folder)


def test_a_test_reports_verdicts_as_that_of_a_local_model(model, tmp_path):
    folder = run("test", tmp_path, model)
    answers = lines(folder / "answers.jsonl")
    assert [(one["task"], one["number"]) for one in answers] == [
        (name, number) for name in VARIANTS for number in range(NUM)
    ]
    assert [one["verdict"] for one in answers] == ["right", "wrong", "unparsed"] * 2
    found = measured(folder)
    for name, asked in ASKED.items():
        own = [one for one in answers if one["task"] == name]
        assert [one["set"] for one in own] == [fields["set"] for fields in asked]
        checked = [GraphAnswer().check(f, one["text"]) for f, one in zip(asked, own, strict=True)]
        for quantity, value in summary(checked).items():
            assert found[f"test/{name}/{quantity}"] == pytest.approx(value)
        assert found[f"test/{name}/right"] == pytest.approx(1 / 3)
        assert found[f"test/{name}/unparsed"] == pytest.approx(1 / 3)
    prompts = [fields["messages"] for _, _, fields in model.requests]
    assert all(one[-1]["content"].endswith("The answer is {yes or no}.") for one in prompts)


def test_what_an_endpoint_answered_is_not_asked_again(model, tmp_path, capsys):
    """An endpoint fails in the middle; `predict` goes on, and `test` judges what it wrote."""
    answers = f"--data.init_args.answers={tmp_path / 'answers.jsonl'}"
    one = ("--data.init_args.batch_size=1", "--model.init_args.endpoint.init_args.patience.tries=1")
    chat = model.chat

    def failing(fields):
        if len(model.requests) == 2:
            model.script = [BUSY]
        return chat(fields)

    model.chat = failing
    with refused("status 503"):
        run("predict", tmp_path, model, answers, *one)
    assert len(lines(tmp_path / "answers.jsonl")) == 2
    run("predict", tmp_path, model, answers, *one)
    assert len(model.requests) == 1 + 2 * NUM  # the one that failed twice
    assert "incident     3 questions, cut 0.000, right 0.333" in capsys.readouterr().out
    folder = run("test", tmp_path, model, answers)
    assert len(model.requests) == 1 + 2 * NUM
    assert [one["verdict"] for one in lines(folder / "answers.jsonl")] == [
        "right",
        "wrong",
        "unparsed",
    ] * 2
    with refused("holds answers to connectivity:small:4-6:format:test:0:.*give another file"):
        run("test", tmp_path, model, answers, "--data.init_args.of.nodes=[5, 6]")


def test_a_model_that_continues_texts_is_asked_by_a_prompt_of_ones_own(model, tmp_path):
    flags = {"api": "text", "prompt": "{question}\nA:", "max_tokens": 7, "stop": ["\n"]}
    folder = run("test", tmp_path, model, f"--model.init_args.request={json.dumps(flags)}")
    _, _, sent = model.requests[0]
    assert (sent["max_tokens"], sent["stop"], sent["temperature"]) == (7, ["\n"], 0)
    assert sent["prompt"].endswith("{yes or no}.\nA:")
    assert measured(folder)["test/incident/cut"] == 1.0
