import json
import subprocess
import sys

import pytest

from benchmarks.bench import record
from benchmarks.bench.harness import VOID, Bench, run
from benchmarks.bench.parallel import run_parts
from benchmarks.bench.record import Row, last_line
from benchmarks.bench.timing import AGAIN, Timings, estimate, interleave, trusted

STEADY = Timings({"a": [2.0, 4.0, 6.0], "b": [1.0, 2.0, 3.0], AGAIN: [2.0, 4.0, 6.0]}, "a")
SHAKY = Timings({"a": [2.0, 4.0], "b": [1.0, 2.0], AGAIN: [1.9, 3.8]}, "a")


def test_the_median_lies_in_its_interval_and_one_outlier_does_not_move_it():
    interval = estimate([1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 50.0])
    assert interval.low <= interval.median == 1.0 <= interval.high < 2.0


def test_an_interval_is_the_same_at_every_call():
    assert estimate([3.0, 1.0, 2.0, 5.0]) == estimate([3.0, 1.0, 2.0, 5.0])


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_round_does_not_count():
    assert STEADY.ratio("a", "b").median == 2.0
    assert STEADY.difference("a", "b").median == 2.0
    drifting = Timings({"a": [1.1, 110.0, 11.0], "b": [1.0, 100.0, 10.0], AGAIN: [1.0] * 3}, "a")
    ratio = drifting.ratio("a", "b")
    assert ratio.low == pytest.approx(1.1)
    assert ratio.high == pytest.approx(1.1)


def test_a_control_that_differs_from_itself_voids_the_timings():
    assert not STEADY.is_void
    assert SHAKY.is_void


def test_every_round_measures_each_thing_once_and_the_control_twice():
    calls = []
    measures = {name: lambda name=name: calls.append(name) or 1.0 for name in ("a", "b")}
    timings = interleave(measures, "a", num_rounds=4, num_discarded=2)
    assert [len(times) for times in timings.seconds.values()] == [4, 4, 4]
    assert sorted(calls) == ["a"] * 12 + ["b"] * 6
    firsts = [calls[number * 3] for number in range(6)]
    assert "b" in firsts


def test_discarded_rounds_do_not_count():
    times = iter([100.0] * 2 + [1.0] * 6)
    timings = interleave({"a": lambda: next(times)}, "a", num_rounds=3, num_discarded=1)
    assert timings.seconds == {"a": [1.0] * 3, AGAIN: [1.0] * 3}


def test_void_timings_are_taken_again_at_most_three_times():
    attempts = iter([SHAKY, STEADY])
    assert trusted(lambda: next(attempts)).attempts == 2
    given_up = trusted(lambda: SHAKY)
    assert given_up.is_void
    assert given_up.attempts == 3


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(1.0, False, True), (1.1, False, False), (1.1, True, True), (0.9, True, False)],
)
def test_met_is_computed(value, at_least, met):
    assert Row(1, "x", value, goal=1.0, at_least=at_least).met is met
    assert Row(1, "x", value, goal=1.0, at_least=at_least, counts=False).met is None
    assert Row(1, "x", value, goal=1.0, at_least=at_least, void=True).met is None


def test_the_last_line_has_the_keys_that_were_agreed():
    line = last_line("speed", [Row(2, "x, 5 ms", 1.012345, 1.02, peer=1.46, limit=1.0)])
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "speed",
        "rows": [
            {
                "row": 2,
                "what": "x, 5 ms",
                "value": 1.012,
                "peer": 1.46,
                "limit": 1.0,
                "goal": 1.02,
                "met": True,
            }
        ],
    }


def test_a_value_is_judged_before_it_is_rounded():
    assert Row(1, "x", 1.03004, goal=1.03).met is False


def fake(monkeypatch, tmp_path, name, *words):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.bench.harness.conditions", lambda device: {"commit": "abc"})
    monkeypatch.setattr(sys, "argv", [name, *words])


def steady(bench: Bench) -> None:
    timings = bench.time("things", {"a": lambda: 2.0, "b": lambda: 1.0}, "a")
    bench.row(1, "a / b", timings.ratio("a", "b"), 1.5, timings)


def shaky(bench: Bench) -> None:
    times = iter([1.0, 2.0] * 10_000)
    timings = bench.time("things", {"a": lambda: next(times)}, "a", num_rounds=2)
    bench.row(1, "a", timings.time("a"), 9.0, timings)


def ran(monkeypatch, tmp_path, capsys, body, *words):
    fake(monkeypatch, tmp_path, "speed", *words)
    with pytest.raises(SystemExit) as end:
        run("speed", body)
    return end.value.code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_full_run_writes_a_file_and_says_what_is_missed(monkeypatch, tmp_path, capsys):
    code, line = ran(monkeypatch, tmp_path, capsys, steady)
    assert code == 0
    assert line["rows"][0]["met"] is False
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert kept["rows"] == line["rows"]
    assert kept["conditions"] == {"commit": "abc"}
    assert kept["details"]["things"]["attempts"] == 1


def test_a_quick_run_judges_nothing_and_writes_nothing(monkeypatch, tmp_path, capsys):
    code, line = ran(monkeypatch, tmp_path, capsys, steady, "--quick")
    assert code == 0
    assert line["rows"][0]["met"] is None
    assert not list(tmp_path.iterdir())


def test_a_void_run_says_so_and_ends_with_its_own_code(monkeypatch, tmp_path, capsys):
    code, line = ran(monkeypatch, tmp_path, capsys, shaky)
    assert code == VOID == 3
    assert line["void"] is True
    assert line["met"] is None
    assert line["rows"][0]["met"] is None
    assert not list(tmp_path.iterdir())


def test_a_claims_row_says_what_the_paper_found_in_place_of_a_limit():
    row = Row(1, "quantity", 0.5, 0.8, at_least=True, paper="0.9").as_json()
    assert row["paper"] == "0.9"
    assert "limit" not in row
    assert row["met"] is False
    assert "paper" not in Row(1, "quantity", 0.5, 0.8).as_json()


def test_the_parts_of_a_run_go_side_by_side_and_end_in_one_line(monkeypatch, capsys):
    body = "\n".join(
        [
            "import sys, os, json",
            "part = sys.argv[1].partition('=')[2]",
            "assert os.environ['OMP_NUM_THREADS'] == '1'",
            "assert sys.argv[2:] == ['--quick']",
            "print('table of', part)",
            "if part == 'broken': sys.exit('no')",
            "print(json.dumps({'name': part, 'rows': [{'what': part}]}))",
            "sys.exit(3 if part == 'void' else 0)",
        ]
    )
    plain = subprocess.run

    def instead(command, **options):
        assert command[1:3] == ["-m", "benchmarks.speed"]
        return plain([sys.executable, "-c", body, *command[3:]], **options)

    monkeypatch.setattr(subprocess, "run", instead)
    assert run_parts("speed", ["a", "void"], ["--quick"]) == VOID
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["table of a", "table of void"]
    assert json.loads(lines[-1])["rows"] == [{"what": "a"}, {"what": "void"}]
    assert run_parts("speed", ["broken", "a"], ["--quick"]) == 1
    captured = capsys.readouterr()
    assert "speed --part broken failed with code 1" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["rows"] == [{"what": "a"}]
