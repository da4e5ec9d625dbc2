"""A partial file of answers is continued without repeats."""

import json
import math
import warnings

import pytest

from engine.disk.strict_json import dumps
from modules.decoding.answers import answer_all, answered

QUESTIONS = [{"name": f"q{n}", "text": "ü"} for n in range(4)]


def echo(asked):
    def answer(question):
        asked.append(question["name"])
        return {"answer": question["text"] * 2}

    return answer


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_are_answered_in_order_and_none_twice(tmp_path):
    path, asked = tmp_path / "deep" / "answers.jsonl", []
    first = answer_all(path, "name", QUESTIONS[1:3], echo(asked))
    assert first == lines(path)
    records = answer_all(path, "name", QUESTIONS, echo(asked))
    assert asked == ["q1", "q2", "q0", "q3"]
    assert [record["name"] for record in records] == ["q0", "q1", "q2", "q3"]
    assert records[0] == {"name": "q0", "answer": "üü"}
    assert [record["name"] for record in lines(path)] == ["q1", "q2", "q0", "q3"]


@pytest.mark.parametrize("missing", [1, 3, 8, 20])
def test_a_line_that_breaks_off_is_told_and_answered_again(tmp_path, missing):
    path, asked = tmp_path / "answers.jsonl", []
    answer_all(path, "name", QUESTIONS[:2], echo([]))
    path.write_bytes(path.read_bytes()[: -1 - missing])  # 8 ends within a character
    with pytest.warns(UserWarning, match=r"answers.jsonl:2 breaks off"):
        records = answer_all(path, "name", QUESTIONS, echo(asked))
    assert asked == ["q1", "q2", "q3"]
    assert lines(path) == records


def test_a_line_without_its_end_counts(tmp_path):
    path, asked = tmp_path / "answers.jsonl", []
    answer_all(path, "name", QUESTIONS[:2], echo([]))
    path.write_bytes(path.read_bytes()[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = answer_all(path, "name", QUESTIONS, echo(asked))
    assert asked == ["q2", "q3"]
    assert lines(path) == records


def test_an_answer_is_on_disk_before_the_next_is_asked_for(tmp_path):
    path = tmp_path / "answers.jsonl"

    def answer(question):
        if question["name"] == "q2":
            raise RuntimeError("the endpoint is gone")
        return {}

    with pytest.raises(RuntimeError, match="is gone"):
        answer_all(path, "name", QUESTIONS, answer)
    assert list(answered(path, "name")) == ["q0", "q1"]


def test_repeats_are_told_and_the_first_counts(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"name": 1, "a": 1}\n\n{"name": 1, "a": 2}\n')
    with pytest.warns(UserWarning, match="1 repeats of 'name'"):
        assert answered(path, "name") == {1: {"name": 1, "a": 1}}


def test_no_file_holds_nothing(tmp_path):
    assert answered(tmp_path / "none.jsonl", "name") == {}


def test_what_cannot_be_read_is_refused_by_its_line(tmp_path):
    path = tmp_path / "answers.jsonl"
    for broken in ('{"name": ', "[1]", '{"other": 1}', '{"name": null}'):
        path.write_text('{"name": 0}\n' + broken + '\n{"name": 2}\n')
        with pytest.raises(
            ValueError, match=r"answers.jsonl:2 is not a JSON object with a text or"
        ):
            answered(path, "name")


def test_questions_must_be_told_apart(tmp_path):
    with pytest.raises(ValueError, match="two questions have the 'name' 'q0'"):
        answer_all(tmp_path / "a", "name", [QUESTIONS[0]] * 2, echo([]))
    with pytest.raises(ValueError, match="question 1 has no text or number 'id'"):
        answer_all(tmp_path / "a", "id", QUESTIONS, echo([]))


def test_answers_are_the_same_strict_json_as_predictions(tmp_path):
    path = tmp_path / "answers.jsonl"
    held = {"score": math.nan, "more": [math.inf, {"p": -math.inf, "q": 0.5}], "n": 3, "ok": True}
    answer_all(path, "id", [{"id": 1}], lambda question: held)
    assert path.read_text() == dumps({"id": 1, **held}) + "\n"
