from math import exp, log

import pytest
import torch
from transformers import AutoTokenizer

from datamodules.in_context.task import InContextTask
from datamodules.questions.datamodule import QuestionData
from datamodules.synthetic.patterns.questions import PatternQuestions
from modules.icl.in_context import Scored, calibrated, predictions, scored, summarise
from tests.fixtures.in_context import label_loss, two_models

WORDS = [" moon", " cat", " ran"]
BATCH = {
    "id": ["a", "b"],
    "question": [
        {"prompt": "The sky:", "content_free": "N/A:", "content_free_2": ":"},
        {"prompt": "A dog ran over the hill, and:", "content_free": "N/A, and:"},
    ],
    "choices": [WORDS, WORDS[:2]],
    "answer": [2, 0],
}


def question(log_p, answer=0, choices=("x", "y"), content_free=(), name="q"):
    return Scored(name, list(choices), answer, list(log_p), [list(one) for one in content_free])


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def models():
    return two_models("llama")


def test_questions_are_scored_with_the_prompts_that_say_nothing_where_these_are_needed(
    models, tokenizer
):
    ours, plain = models
    for bias in ("none", "batch", "contextual"):
        found = scored(ours, tokenizer, BATCH, bias)
        assert [(one.id, one.choices, one.answer) for one in found] == [
            ("a", WORDS, 2),
            ("b", WORDS[:2], 0),
        ]
        for one, fields in zip(found, BATCH["question"], strict=True):
            prompts = [fields[name] for name in fields if bias == "contextual" or name == "prompt"]
            wanted = [
                [-label_loss(plain, tokenizer, prompt, word).item() for word in one.choices]
                for prompt in prompts
            ]
            for log_p, alone in zip([one.log_p, *one.content_free], wanted, strict=True):
                assert log_p == pytest.approx(alone, rel=1e-7)


def test_a_batch_without_questions_has_no_scores(models, tokenizer):
    empty = {"id": [], "question": [], "choices": [], "answer": []}
    assert scored(models[0], tokenizer, empty) == []


@pytest.mark.parametrize(
    ("change", "bias", "message"),
    [
        ({"question": [{"text": "x"}]}, "none", "question 'a': no 'prompt' among text"),
        ({"question": [{"prompt": "x"}]}, "contextual", "'a': no 'content_free' among prompt"),
        ({"choices": [[" cat"]]}, "none", "question 'a' has 1 choices and answer 0"),
        ({"answer": [-1]}, "none", "question 'a' has 2 choices and answer -1"),
        ({"answer": [2]}, "none", "question 'a' has 2 choices and answer 2"),
    ],
)
def test_a_question_that_cannot_be_scored_is_named(models, tokenizer, change, bias, message):
    batch = {"id": ["a"], "question": [{"prompt": "x"}], "choices": [WORDS[:2]], "answer": [0]}
    with pytest.raises(ValueError, match=message):
        scored(models[0], tokenizer, batch | change, bias)


def test_weights_that_are_not_finite_are_refused_with_the_question(tokenizer):
    ours, _ = two_models("llama")
    next(ours.parameters()).data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"question 'a': the log-probabilities of .* nan"):
        scored(ours, tokenizer, BATCH)


def test_contextual_calibration_divides_by_the_mean_probability_after_nothing():
    p, nothing = [0.2, 0.6, 0.2], [[0.1, 0.8, 0.1], [0.3, 0.6, 0.1]]
    weighted = [a / ((b + c) / 2) for a, b, c in zip(p, *nothing, strict=True)]
    logs = [[log(one / 7) for one in row] for row in (p, *nothing)]  # 7: other words take the rest
    [found] = calibrated([question(logs[0], choices="xyz", content_free=logs[1:])], "contextual")
    assert found.exp().tolist() == pytest.approx([one / sum(weighted) for one in weighted])


def test_batch_calibration_takes_the_mean_log_probability_off_whatever_the_order_of_words():
    p = [[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]]
    mean = [sum(log(row[k]) for row in p) / 3 for k in range(2)]
    questions = [question(map(log, row)) for row in p[:2]]
    questions.append(question(map(log, reversed(p[2])), choices="yx"))
    found = calibrated(questions, "batch")
    for row, log_p in zip(p, [*found[:2], found[2].flip(0)], strict=True):
        moved = [exp(log(one) - m) for one, m in zip(row, mean, strict=True)]
        assert log_p.exp().tolist() == pytest.approx([one / sum(moved) for one in moved])
    assert predictions(questions) == [0, 0, 1]
    assert predictions(questions, "batch") == [0, 1, 0]


def test_a_bias_of_the_same_size_everywhere_is_undone_by_both_calibrations():
    bias = 5.0
    right = [0, 1, 0, 1]
    questions = [
        question([-1.0 - (answer == 1) - bias, -1.0 - (answer == 0)], answer, "xy", [[-bias, 0.0]])
        for answer in right
    ]
    assert summarise(questions).accuracy == 0.5
    assert summarise(questions).predicted == {"x": 0.0, "y": 1.0}
    for way in ("contextual", "batch"):
        assert summarise(questions, way).accuracy == 1.0
        assert summarise(questions, way).predicted == {"x": 0.5, "y": 0.5}


def test_a_summary_is_that_of_a_loop():
    questions = [
        question([-1.0, -2.0], 0),
        question([-3.0, -2.5], 0),
        question([-0.5, -4.0, -1.0], 2, "xyz"),
    ]
    found = summarise(questions)
    assert found.num == 3
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.loss == pytest.approx((1.0 + 3.0 + 1.0) / 3)
    parts = [[-1.0, -2.0], [-3.0, -2.5], [-1.0, -0.5, -4.0]]
    nats = [log(sum(map(exp, row))) - row[0] for row in parts]
    assert found.choice_loss == pytest.approx(sum(nats) / 3)
    assert found.predicted == pytest.approx({"x": 2 / 3, "y": 1 / 3, "z": 0.0})
    assert found.majority == pytest.approx(2 / 3)
    assert found.chance == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert found.quantities["predicted/x"] == pytest.approx(2 / 3)
    assert found.quantities["questions"] == 3.0


def test_questions_that_cannot_be_calibrated_are_named():
    odd = [question([0.0, 0.0]), question([0.0, 0.0], choices="xz", name="odd")]
    with pytest.raises(ValueError, match=r"question 'odd' has \['x', 'z'\], the first one"):
        calibrated(odd, "batch")
    with pytest.raises(ValueError, match="question 'q' was read without its 'content_free'"):
        calibrated(odd, "contextual")
    with pytest.raises(ValueError, match="one of none, contextual, batch, got 'domain'"):
        calibrated(odd, "domain")
    with pytest.raises(ValueError, match="there are no questions"):
        summarise([])


def test_questions_of_every_source_with_a_prompt_are_scored(models, tmp_path):
    ours, plain = models
    path = tmp_path / "rows.csv"
    lines = [f"the fork is {n},{label}" for n in range(3) for label in ("dax", "wug")]
    path.write_text("text,label\n" + "\n".join(lines))
    words = {"dax": "dax", "wug": "wug"}
    table = InContextTask(str(path), "{text} so", "label", words, num=2, shown=1, separator=" ")
    tokenizer = AutoTokenizer.from_pretrained("assets/patterns_words")
    data = QuestionData(test=[table, PatternQuestions(3)], batch_size=5)
    data.setup("test")
    [batch] = data.test_dataloader()
    found = scored(ours, tokenizer, batch)
    assert [len(one.choices) for one in found] == [2, 2, 3, 3, 3]
    for one, fields in zip(found, batch["question"], strict=True):
        wanted = [
            -label_loss(plain, tokenizer, fields["prompt"], word).item() for word in one.choices
        ]
        assert one.log_p == pytest.approx(wanted, rel=1e-7)
    assert summarise(found).chance == pytest.approx((2 / 2 + 3 / 3) / 5)
    free = batch | {name: column[:2] for name, column in batch.items()}
    assert [len(one.content_free) for one in scored(ours, tokenizer, free, "contextual")] == [3, 3]
