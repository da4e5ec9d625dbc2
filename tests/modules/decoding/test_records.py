"""Totals over many records."""

import json

import pytest
import torch

from modules.decoding.black_box import method as remote
from modules.decoding.judging import comparison as judging
from modules.decoding.judging.verdicts import Match, Verdict
from modules.decoding.records import earlier, gathered
from modules.metrics.means import Means


def test_lines_that_are_no_records_are_passed_over_and_the_first_of_repeats_counts(tmp_path):
    path = tmp_path / "answers.jsonl"
    rows = ['{"id": "a", "n": 1}', '{"id": "b", "n"', '{"n": 3}', '{"id": "a", "n": 4}', ""]
    path.write_text("\n".join(rows))
    (tmp_path / "answers.1.jsonl").write_text('{"id": 7}\n')
    assert earlier(str(path)) == {"a": {"id": "a", "n": 1}}
    assert set(earlier(str(tmp_path / "answers*.jsonl"))) == {"7", "a"}
    assert earlier(str(tmp_path / "nothing.jsonl")) == earlier(None) == {}


def test_one_rank_gathers_its_own():
    assert gathered([{"id": "a"}]) == [{"id": "a"}]


def test_means_are_of_what_was_measured():
    means = Means(["right", "never"], torch.device("cpu"))
    means.add({"right": [1.0, 0.0], "never": []})
    means.add({"right": [1.0], "never": []})
    assert means.row(means.sums) == {"right": pytest.approx(2 / 3), "right_count": 3}


def test_a_match_comes_back_from_its_record():
    played = Match("tie", Verdict(3, 2, "3 2"), Verdict(None, None, "?"), swayed=True)
    assert judging.read(json.loads(json.dumps(judging.record(played)))) == played


def test_matches_of_one_group_are_drawn_together():
    wins = [Match("win", Verdict(2, 1), Verdict(1, 2), False)] * 4
    losses = [Match("loss", Verdict(1, 2), Verdict(2, 1), False)] * 4
    records = [{**judging.record(outcome), "topic": outcome.result} for outcome in wins + losses]
    apart, together = (judging.totals(records, group, 0.9).row for group in (None, "topic"))
    assert apart["win_rate"] == together["win_rate"] == 0.5
    assert apart["low"] > together["low"] == 0
    assert apart["high"] < together["high"] == 1


def test_choices_are_counted_over_all_and_over_those_answered():
    row = {"certain": True, "right": " B", "base_choice": " A"}
    records = [{**row, "choice": choice} for choice in (" B", " A", None)]
    summary = remote.totals([*records, {"ended": "length", "certain": False}])
    assert summary.row["choice_accuracy"] == pytest.approx(1 / 3)
    assert summary.row["choice_unanswered"] == 1
    assert summary.row["texts"] == 1
    assert "50.0% of those answered; 1 without an answer" in summary.text
