"""What tasks of a harness give, as decoders take it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.decoding.harness.tasks import SplitAt, Verbatim, arguments, whole

# Texts


def test_blanks_of_a_verbatim_prompt_stay():
    assert Verbatim("{question}")({"question": " Why?\n"}, None) == " Why?\n"


def test_a_text_is_split_before_its_last_marker():
    text = "Question: a\nIt rains.\nQuestion: b"
    fields = SplitAt("Question:")(text)
    assert fields == {"context": "Question: a\nIt rains.\n", "question": "Question: b"}


def test_a_text_without_the_marker_has_an_empty_context():
    assert SplitAt("Question:")("Why?") == {"context": "", "question": "Why?"}


@given(st.text("ab:"), st.text("ab:", min_size=1))
def test_both_fields_together_are_the_text(text, marker):
    fields = SplitAt(marker)(text)
    assert fields["context"] + fields["question"] == whole(text)["question"]


def test_an_empty_marker_is_refused():
    with pytest.raises(ValueError, match="marker between context and question is empty"):
        SplitAt("")


# Arguments


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, {"do_sample": False}),
        ({"temperature": 0.0}, {"do_sample": False}),
        ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"do_sample": True}, {"do_sample": True, "temperature": 1.0}),
        ({"do_sample": True, "temperature": 0}, {"do_sample": False}),
        ({"do_sample": False, "temperature": 0.7}, {"do_sample": False}),
        ({"top_p": 0.9, "do_sample": True}, {"do_sample": True, "temperature": 1.0, "top_p": 0.9}),
    ],
)
def test_sampling_is_what_the_task_says(asked, wanted):
    assert arguments(asked, 7) == {"stop": [], "max_new_tokens": 7, **wanted}


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens"])
def test_the_number_of_new_tokens_goes_by_several_names(name):
    assert arguments({name: "3"}, 7)["max_new_tokens"] == 3


def test_stop_strings_are_one_or_many_and_never_empty():
    assert arguments({"until": "\n"}, 7)["stop"] == ["\n"]
    assert arguments({"until": ["\n\n", "", "Q:"]}, 7)["stop"] == ["\n\n", "Q:"]


def test_what_the_task_gave_stays_as_it_is():
    asked = {"until": ["\n"], "temperature": 0.5, "max_gen_toks": 3}
    before = dict(asked)
    arguments(asked, 7)
    assert asked == before
