import optuna
import pytest

from engine.study.sweep.samplers import GridSearch
from engine.study.sweep.space.reading import read_space

LR = {"low": 1e-4, "high": 1e-2, "log": True}
NESTED = {
    "optimizer": {"choices": ["adam", "muon"]},
    "lr": [
        {**LR, "when": {"optimizer": "adam"}},
        {"low": 1, "high": 3, "when": {"optimizer": "muon"}},
    ],
    "betas": {"choices": [[0.9, 0.95], [0.9, 0.99]], "when": {"optimizer": "adam"}},
    "slow": {"choices": [True, 2], "when": {"betas": [[0.9, 0.99]]}},
}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space is empty"),
        ({"lr": 3}, "space: lr: expected low and high, or choices, got 3"),
        ({"lr": {"low": 1, "hihg": 2}}, r"space: lr: there is no hihg; did you mean high\?"),
        ({"lr": {"low": 1}}, "space: lr: high must be a number, got None"),
        ({"lr": {"low": 2, "high": 1}}, "lr: the range is reversed: low 2 is above high 1"),
        ({"lr": {"low": 1, "high": 1}}, "lr: the range is empty: low and high are 1"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "lr: a log range cannot begin at 0"),
        ({"lr": {"low": -1, "high": 1, "log": True}}, "lr: a log range cannot begin at -1"),
        ({"lr": {"low": 1, "high": float("inf")}}, "lr: high must be a number, got inf"),
        ({"lr": {"low": 1, "high": 2, "step": 3}}, "lr: step 3 must be above 0, and at most"),
        ({"lr": {"low": 1, "high": 9, "step": 1, "log": True}}, "lr: log and step exclude"),
        ({"lr": {"choices": []}}, "lr: choices must be a list of at least one value"),
        ({"lr": {"choices": [1, 2, 1]}}, "lr: choices name a value twice"),
        ({"lr": [{"low": 1, "high": 2}]}, "lr: each of several ranges needs a condition"),
        (
            {"size": LR, "lr": {**LR, "when": {"sise": 1}}},
            r"lr: when: sise is no key of the space; did you mean size\?",
        ),
        (
            {"size": {"choices": [1]}, "lr": {**LR, "when": {"size": 2}}},
            "lr: when: size is never 2",
        ),
        (
            {
                "a": {"choices": [1], "when": {"b": 1}},
                "b": {"choices": [1], "when": {"a": 1}},
            },
            "depend on one another in a circle: a, b",
        ),
    ],
)
def test_what_describes_no_space_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        read_space(space)


def test_a_key_exists_only_where_its_condition_holds_and_choices_keep_their_types():
    space = read_space(NESTED)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    seen = [space.suggest(study.ask()) for _ in range(40)]
    for chosen in seen:
        assert ("betas" in chosen) is (chosen["optimizer"] == "adam")
        assert ("slow" in chosen) is (chosen.get("betas") == [0.9, 0.99])
        if chosen["optimizer"] == "adam":
            assert 1e-4 <= chosen["lr"] <= 1e-2
        else:
            assert chosen["lr"] in (1, 2, 3)
    assert {type(chosen["slow"]) for chosen in seen if "slow" in chosen} == {bool, int}


def test_conditions_may_be_written_in_any_order():
    space = read_space(dict(reversed(NESTED.items())))
    assert space.dimensions[0].key == "optimizer"


def test_examples_hold_every_key_and_every_range_of_it():
    space = read_space(NESTED)
    examples = space.examples()
    assert len(examples) == 2
    for one in space.dimensions:
        assert any(one.exists(chosen) and one.values.holds(chosen[one.key]) for chosen in examples)


def test_whole_ends_give_whole_numbers_and_a_step_ends_below_the_high_end():
    space = read_space({"n": {"low": 2, "high": 9, "step": 3}, "x": {"low": 0, "high": 0.5}})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    seen = [space.suggest(study.ask()) for _ in range(30)]
    assert {chosen["n"] for chosen in seen} == {2, 5, 8}
    assert all(isinstance(chosen["x"], float) for chosen in seen)


def test_a_number_that_yaml_reads_as_text_is_a_number():
    (one,) = read_space({"lr": {"low": "1e-4", "high": "1e-2", "log": True}}).dimensions
    assert (one.values.low, one.values.high) == (1e-4, 1e-2)


def test_a_grid_holds_every_combination_that_exists_once():
    space = read_space(
        {
            "kind": {"choices": ["a", "b"]},
            "n": {"low": 1, "high": 3, "step": 2},
            "w": {"choices": [[1], [2]], "when": {"kind": "b"}},
        }
    )
    points = GridSearch().points(space, None)
    assert len(points) == 2 + 4
    assert {"kind": "b", "n": 3, "w": "[2]"} in points
    assert len(GridSearch().points(space, 3)) == 3


def test_a_grid_refuses_a_range_without_steps():
    with pytest.raises(ValueError, match="lr: a grid needs choices, or a range with a step"):
        GridSearch().points(read_space({"lr": LR}), None)
