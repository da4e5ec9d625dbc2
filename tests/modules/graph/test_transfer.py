"""Statistics of transfer against plain computations, and the report of a grid."""

import json
from itertools import product
from math import comb

import numpy as np
import pytest

from modules.graph.report import TransferReport
from modules.graph.significance import holm, mcnemar, two_proportions
from modules.graph.transfer import Answers, accuracies, counts, pairs


def test_mcnemar_is_the_sum_over_all_outcomes_as_unlikely():
    for only_a, only_b in product(range(6), range(6)):
        a = np.array([True] * only_a + [False] * only_b + [True, False])
        b = np.array([False] * only_a + [True] * only_b + [True, False])
        num = only_a + only_b
        chance = [comb(num, k) / 2**num for k in range(num + 1)]
        by_hand = sum(p for p in chance if p <= chance[only_a] * (1 + 1e-9))
        assert mcnemar(a, b) == pytest.approx(min(1.0, by_hand))


def test_two_proportions_is_the_chi_squared_test_of_their_table():
    stats = pytest.importorskip("scipy.stats")
    table = [[30, 70], [45, 55]]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert two_proportions(30, 100, 45, 100) == pytest.approx(expected)
    assert two_proportions(0, 5, 0, 7) == 1.0


def test_holm_multiplies_by_the_hypotheses_that_are_left():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def simulated(rates: dict[str, dict[str, float]], num: int = 300, seeds: int = 2) -> Answers:
    rng = np.random.default_rng(0)
    return Answers(
        {
            row: {name: rng.random((seeds, num)) < rate for name, rate in tested.items()}
            for row, tested in rates.items()
        }
    )


def test_the_gap_that_is_recovered_is_that_of_the_accuracies():
    answers = simulated(
        {
            "untuned": {"a": 0.5, "b": 0.5},
            "a": {"a": 0.95, "b": 0.9},
            "b": {"a": 0.5, "b": 0.95},
        }
    )
    accuracy = accuracies(answers, 200)
    found = {(one.trained_on, one.tested_on): one for one in pairs(answers, accuracy)}
    there = found["a", "b"]
    own, base, value = (answers.right[row]["b"].mean() for row in ("b", "untuned", "a"))
    assert there.recovered.value == pytest.approx((value - base) / (own - base))
    assert there.recovered.low < there.recovered.value < there.recovered.high
    assert there.is_significant
    assert there.is_strong
    assert not found["b", "a"].is_significant
    assert counts(list(found.values())) == {
        "pairs": 2,
        "significant": 1,
        "strong": 1,
        "both": 1,
        "harmful": 0,
        "undefined": 0,
    }


def test_a_gap_is_undefined_where_training_on_the_test_itself_gains_nothing():
    answers = simulated(
        {"untuned": {"a": 0.5, "b": 0.5}, "a": {"a": 0.9, "b": 0.2}, "b": {"a": 0.5, "b": 0.5}}
    )
    found = {
        (one.trained_on, one.tested_on): one for one in pairs(answers, accuracies(answers, 50))
    }
    assert found["a", "b"].recovered is None
    assert found["a", "b"].is_harmful
    with pytest.raises(ValueError, match="no row untuned"):
        pairs(simulated({"a": {"a": 1.0}}), accuracies(answers, 50))


def run(folder, row: str, verdicts: dict[str, str], behaviour: str = "x"):
    folder.mkdir(parents=True)
    lines = [
        {"id": f"{name}:{n}", "set": f"{name}:{behaviour}", "task": name, "effort": n % 2}
        | {"verdict": "right" if one == "+" else "wrong", "unproved": None, "text": row}
        for name, told in verdicts.items()
        for n, one in enumerate(told)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return {"test": folder}


def test_a_grid_is_reported_with_what_is_missing(tmp_path):
    told = {
        "untuned": {"a": "--------++", "b": "----------"},
        "a": {"a": "++++++++++", "b": "+++++-----"},
        "b": {"a": "----------", "b": "++++++++++"},
    }
    cells = [
        ({"seed": "s1", "trained_on": row}, run(tmp_path / row, row, one))
        for row, one in told.items()
    ]
    cells.append(({"seed": "s2", "trained_on": "a"}, run(tmp_path / "a2", "a", told["a"])))
    lines = list(TransferReport(num_resamples=50).write(tmp_path, cells))
    assert "MISSING: untuned s2 has no answers: it failed, or was not run" in lines
    assert any(line.startswith("2 transfers: ") for line in lines)
    for name in ("accuracy.csv", "accuracy.png", "recovered.png", "pairs.csv", "effort.csv"):
        assert (tmp_path / "transfer" / name).stat().st_size > 0
    rows = (tmp_path / "transfer" / "accuracy.csv").read_text().splitlines()
    assert rows[0] == "trained_on,a,b"
    assert rows[2] == "a,1.000000,0.500000"


def test_results_of_other_questions_are_not_compared(tmp_path):
    cells = [
        ({"trained_on": "untuned"}, run(tmp_path / "1", "untuned", {"a": "+-"})),
        ({"trained_on": "a"}, run(tmp_path / "2", "a", {"a": "+-"}, behaviour="y")),
    ]
    with pytest.raises(ValueError, match="a:y and a:x: test both again"):
        list(TransferReport(num_resamples=50).write(tmp_path, cells))
