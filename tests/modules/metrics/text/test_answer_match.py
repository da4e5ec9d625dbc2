"""Rules by which a short answer counts as right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.metrics.text.answer_match import (
    RULES,
    begins,
    contains,
    exact,
    first_line,
    normalised,
)


def test_normalising_drops_case_articles_punctuation_and_spaces():
    assert normalised(' The  "Beatles"\n(a band), an era.') == "beatles band era"
    assert normalised("theatre, another, A.") == "theatre another"
    assert normalised("it's") == "its"


@pytest.mark.parametrize(
    ("answer", "references", "right"),
    [
        (" 23 episodes.", ["23 episodes"], "exact first_line begins contains"),
        ("The Beatles", ["beatles", "x"], "exact first_line begins contains"),
        ("\n 23\nWho sang it?", ["23"], "first_line begins contains"),
        (" heavy. And so on", [" heavy."], "begins contains"),
        ("The season had 23 episodes . Who", ["23"], "contains"),
        ("two\nwords", ["two words"], "exact begins contains"),
        ("north", ["no"], ""),
        ("episodes 23", ["23 episodes"], ""),
        ("", ["23"], ""),
        ("some text", ["the"], ""),
        ("!", ["the"], "exact first_line begins contains"),
    ],
)
def test_which_rules_call_an_answer_right(answer, references, right):
    assert [name for name, rule in RULES.items() if rule(answer, references)] == right.split()


@given(
    st.lists(st.sampled_from(["a", "the", "x", "y.", "\n", "z"]), max_size=6).map(" ".join),
    st.lists(st.sampled_from(["x", "y", "x y", "The z", "z x"]), min_size=1, max_size=3),
)
def test_a_stricter_rule_implies_the_more_lenient_one(answer, references):
    assert exact(answer, references) <= begins(answer, references) <= contains(answer, references)
    assert first_line(answer, references) <= begins(answer, references)


def test_rules_need_a_reference():
    for rule in RULES.values():
        with pytest.raises(ValueError, match="no reference"):
            rule("x", [])
