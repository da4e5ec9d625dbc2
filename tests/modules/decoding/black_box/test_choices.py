"""Questions with choices, answered by one token of a model served by an endpoint."""

from math import log

import pytest
import torch

from modules.decoding.black_box.choices import Accuracy, accuracy, choose, letters
from modules.decoding.black_box.decode import BlackBox
from modules.decoding.black_box.token_strings import TokenStrings
from modules.endpoint.next_tokens import Candidate, NextTokens
from tests.fixtures.endpoint import byte_tokenizer

LETTERS = letters("ABCD")


@pytest.fixture(scope="module")
def token_strings():
    return TokenStrings(byte_tokenizer())


@pytest.fixture
def box(token_strings):
    """Makes a black box that lists certain tokens and adds certain offsets."""

    def make(listed, offsets, num_missing=0):
        class TopLogprobs:
            needs_whole_characters = False

            def before(self, prompt):
                return prompt

            def __call__(self, prompt, text, continuation):
                entries = [Candidate(t, log(p)) for t, p in listed.items()]
                return NextTokens(entries, min(listed.values(), default=1.0))

        delta_V = torch.zeros(len(token_strings), dtype=torch.float64)
        for text, value in offsets.items():
            delta_V[token_strings.ids(text)] = value
        return BlackBox(TopLogprobs(), lambda prompt, ids: delta_V, token_strings)

    return make


def test_only_choices_are_reweighted_and_compared(box):
    made = box({"the": 0.5, "A": 0.2, "B": 0.15, "C": 0.1, "D": 0.04}, {"B": log(2), "t": 9.0})
    chosen = choose(made, "?", LETTERS)
    assert (chosen.choice, chosen.base_choice) == ("B", "A")
    total = 0.2 + 0.3 + 0.1 + 0.04
    wanted = {"A": 0.2 / total, "B": 0.3 / total, "C": 0.1 / total, "D": 0.04 / total}
    assert chosen.probability == pytest.approx(wanted)
    assert chosen.dropped == []


def test_spellings_of_a_choice_are_summed(box, token_strings):
    both = {"A": token_strings.ids("A"), " A": token_strings.ids(" A")}
    assert all(both.values())
    chosen = choose(box({"A": 0.2, " A": 0.2, "B": 0.3}, {}), "?", LETTERS)
    assert chosen.choice == "A"
    assert chosen.probability["A"] == pytest.approx(4 / 7)


def test_dropped_choices_are_told_and_may_make_it_uncertain(box):
    listed = {"A": 0.6, "B": 0.3}
    sure = choose(box(listed, {}), "?", LETTERS)
    assert sure.choice == "A"
    assert sure.dropped == ["C", "D"]
    assert sure.certain
    unsure = choose(box(listed, {"C": 3.0}), "?", LETTERS)  # up to 0.1 e^3 = 2.0 against 0.6
    assert unsure.choice == "A"
    assert not unsure.certain
    just = choose(box(listed, {"C": log(6.01)}), "?", {"A": ["A"], "B": ["B"], "C": ["C"]})
    assert not just.certain
    below = choose(box(listed, {"C": log(5.99)}), "?", {"A": ["A"], "B": ["B"], "C": ["C"]})
    assert below.certain


def test_a_question_without_a_listed_choice_is_unanswered(box):
    for listed in ({"the": 0.9}, {}):
        chosen = choose(box(listed, {}), "?", LETTERS)
        assert chosen.choice is None
        assert chosen.base_choice is None
        assert chosen.dropped == ["A", "B", "C", "D"]
        assert not chosen.certain
        assert chosen.probability == {}


def test_accuracy_is_told_of_all_and_of_the_answered():
    result = accuracy(["A", None, "C", "D"], ["A", "B", "B", "D"])
    assert result == Accuracy(num=4, answered=3, correct=2)
    assert result.unanswered == 1
    assert result.of_all == 0.5
    assert result.of_answered == pytest.approx(2 / 3)
    assert accuracy([None], ["A"]).of_answered != accuracy([None], ["A"]).of_answered  # NaN
    with pytest.raises(ValueError, match="there are no questions"):
        accuracy([], [])
    with pytest.raises(ValueError, match="zip"):
        accuracy(["A"], [])


def test_choices_that_are_no_single_token_or_the_same_are_refused(box):
    made = box({"A": 0.5}, {})
    with pytest.raises(ValueError, match="'Anna' is not a single token"):
        choose(made, "?", {"Anna": ["Anna"]})
    with pytest.raises(ValueError, match="share a token"):
        choose(made, "?", {"A": ["A"], "a": ["A"]})
    with pytest.raises(ValueError, match="there are no choices"):
        choose(made, "?", {})
