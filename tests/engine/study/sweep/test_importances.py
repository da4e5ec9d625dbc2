from engine.study.sweep.findings.importances import importances
from engine.study.sweep.space.reading import read_space

KINDS = {
    "kind": {"choices": ["a", "b"]},
    "lr": [
        {"low": 0.001, "high": 0.1, "log": True, "when": {"kind": "a"}},
        {"low": 0.01, "high": 1.0, "log": True, "when": {"kind": "b"}},
    ],
    "width": {"low": 1, "high": 3, "when": {"kind": "b"}},
}


def test_a_key_that_decides_matters_most_whatever_range_its_condition_gives_it():
    rates = [0.01 * 1.2**number for number in range(12)]
    trials = [{"kind": "ab"[n % 2], "lr": rate} for n, rate in enumerate(rates)]
    found = importances(read_space(KINDS), trials, [trial["lr"] ** 0.5 for trial in trials])
    assert list(found) == ["lr", "kind"]
    assert found["lr"] > 0.7


def test_few_trials_or_equal_values_say_nothing():
    space = read_space({"x": {"low": 0, "high": 9}})
    assert importances(space, [{"x": 1}, {"x": 2}], [1.0, 2.0]) == {}
    assert importances(space, [{"x": n} for n in range(6)], [1.0] * 6) == {}
