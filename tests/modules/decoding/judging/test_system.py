"""Judges of two answers, asked through the command line."""

import json
import threading

import pytest

from cli import main
from tests.fixtures.endpoint import serving
from tests.fixtures.remote_runs import lines, run, save_experts, tiny_parts
from tests.fixtures.runs import refused

PAIRS = [
    {
        "id": f"q{n}",
        "question": f"question {n}",
        "ours": ours,
        "theirs": theirs,
        "topic": str(n // 2),
    }
    for n, (ours, theirs) in enumerate(
        [("long answer", "no"), ("no", "long answer"), ("same", "else"), ("long one", "silent")]
    )
]


def scores(fields):
    """A judge that prefers long answers, and gives no scores where one is `silent`."""
    text = fields["messages"][-1]["content"]
    first, second = (text.split(f"Answer {n}:\n")[1].split("\n\n")[0] for n in (1, 2))
    reply = f"{min(len(first), 10)} {min(len(second), 10)}\nBecause."
    return {"message": {"content": "I would rather not" if "silent" in text else reply}}


@pytest.fixture
def judge():
    with serving() as served:
        served.chat = scores
        yield served


def judged(folder, served, *flags, pairs=PAIRS):
    return run("judge", folder, pairs, served.url, *flags, place="judge.init_args.endpoint")


def test_a_judge_is_asked_in_both_orders_and_the_tally_is_printed(judge, tmp_path, capsys):
    records = judged(tmp_path, judge)
    assert [record["result"] for record in records] == ["win", "loss", "tie", "unparsable"]
    assert len(judge.requests) == 8
    assert (records[0]["first"]["one"], records[0]["second"]["one"]) == (10, 2)
    output = capsys.readouterr().out
    assert "| 25.0% | 25.0% | 25.0% | 25.0% | 4 |" in output
    assert "win rate     33.3% of 3 matches that can be read, 95% interval 0.0% to 100.0%" in output
    assert "unparsable   1 of 4 matches" in output
    run_folder = max((tmp_path / "runs").glob("*/*/*"))
    header, row = (run_folder / "metrics.csv").read_text().splitlines()
    metrics = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(metrics["predict/win_rate"]) == pytest.approx(1 / 3)
    assert float(metrics["predict/unparsable"]) == 1


def test_a_half_judged_file_is_gone_on_with_and_counted_as_a_whole(judge, tmp_path, capsys):
    whole = judged(tmp_path, judge)
    first = (tmp_path / "answers.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "answers.jsonl").write_text("".join(first[:3]))
    judge.requests.clear()
    capsys.readouterr()
    assert judged(tmp_path, judge) == whole
    assert len(judge.requests) == 2
    assert "| 25.0% | 25.0% | 25.0% | 25.0% | 4 |" in capsys.readouterr().out
    judge.requests.clear()
    assert judged(tmp_path, judge) == whole
    assert not judge.requests


def test_a_local_model_judges_as_it_does_in_python(tmp_path):
    from modules.decoding.judging.judge import LocalJudge
    from modules.decoding.judging.verdicts import match

    parts = tiny_parts()
    experts = save_experts(parts, tmp_path)
    source = {
        "class_path": "modules.decoding.judging.comparison.PretrainedJudge",
        "init_args": {"model": {"path": str(experts / "expert")}, "rules": "Be fair."},
    }
    short = [{**pair, "question": "the cat"} for pair in PAIRS]
    asked = tmp_path / "questions.jsonl"
    asked.write_text("".join(json.dumps(question) + "\n" for question in short))
    source_of = {"class_path": "datamodules.questions.files.JsonlQuestions"}
    source_of["init_args"] = {"path": str(asked), "id": "id"}
    answers = tmp_path / "answers.jsonl"
    main(
        [
            "predict",
            "--config=configs/decoding/judge.yaml",
            f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
            f"--data.init_args.predict={json.dumps([source_of])}",
            f"--data.init_args.answers={answers}",
            f"--model.init_args.judge={json.dumps(source)}",
            "--model.init_args.margin=0.1",
        ]
    )
    judge = LocalJudge(parts[2], parts[0], rules="Be fair.")
    for record, pair in zip(lines(answers), short, strict=True):
        outcome = match(judge, pair["question"], pair["ours"], pair["theirs"], 0.1)
        assert record["result"] == outcome.result
        assert record["first"]["one"] == pytest.approx(outcome.first.one, abs=1e-4)


def test_a_missing_field_is_told_with_the_question(judge, tmp_path):
    pairs = [{"id": "q7", "question": "?", "ours": "a"}]
    with refused("question 'q7': there is no field 'theirs' among"):
        judged(tmp_path, judge, pairs=pairs)
    with refused("question 'q0': there is no field 'subject' among"):
        judged(tmp_path, judge, "--model.init_args.group=subject")


def test_a_level_that_is_no_share_is_told_in_one_line(judge, tmp_path, capsys):
    with pytest.raises(SystemExit):
        judged(tmp_path, judge, "--model.init_args.level=95")
    assert capsys.readouterr().err.strip() == "level must be within (0, 1), got 95.0."


def test_a_judge_that_says_nothing_is_no_sure_loss(judge, tmp_path, capsys):
    silent = {"message": {"content": "<think>So"}, "finish_reason": "length"}
    judge.chat = lambda fields: silent
    judged(tmp_path, judge)
    output = capsys.readouterr().out
    assert "win rate     not known: no match has replies that can be read" in output
    assert "unparsable   4 of 4 matches, 4 of them since the judge ran out of tokens" in output
    assert "interval" not in output


def test_questions_of_a_batch_are_judged_together(judge, tmp_path):
    waiting = threading.Barrier(2, timeout=20)

    def together(fields):
        waiting.wait()  # continues only when two requests have arrived
        return scores(fields)

    judge.chat = together
    records = judged(tmp_path, judge, "--data.init_args.batch_size=2")
    assert [record["result"] for record in records] == ["win", "loss", "tie", "unparsable"]
