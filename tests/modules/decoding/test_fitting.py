"""Questions are cut until their prompts fit."""

import pytest

from modules.decoding.branches.branches import Branch, Branches
from modules.decoding.fitting import excess, fitted, without_prefix
from modules.prompting.format import Formatted
from tests.fixtures.decoding import Numbers, tiny


def cut(question, num):
    return without_prefix(question, num, Numbers())


def test_a_question_that_fits_is_the_very_same():
    question = {"question": "1 2"}
    assert fitted(question, lambda candidate: 0, cut) is question


def test_a_question_is_cut_as_often_as_it_takes():
    question = {"question": "1 2 3 4 5 6"}
    shortened = fitted(question, lambda candidate: int(len(candidate["question"].split()) > 3), cut)
    assert shortened == {"question": "4 5 6"}


def test_a_question_that_stays_too_long_is_told():
    for shorter in (cut, lambda candidate, over: None):
        with pytest.raises(ValueError, match="2 tokens longer than a model can take"):
            fitted({"question": "1"}, lambda candidate: 2, shorter)


def test_the_first_field_with_a_text_loses_its_beginning():
    both = {"context": "1 2 3", "question": "4 5"}
    assert cut(both, 2) == {"context": "3", "question": "4 5"}
    assert cut(both, 7) == {"context": "", "question": "4 5"}
    assert cut({"context": "", "question": "4 5"}, 1) == {"context": "", "question": "5"}
    assert cut({"context": "", "question": ""}, 1) is None


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_the_longest_prompt_counts(kind):
    model = tiny(kind)  # 64 positions
    texts = Formatted("{question}"), Formatted("{question} 1 1")
    branches = Branches(
        tuple(
            Branch(model, Numbers(), text, weight)
            for text, weight in zip(texts, (2.0, -1.0), strict=True)
        )
    )
    question = {"question": " ".join(["3"] * 60)}
    assert excess(branches, question, 5) == (3 if kind == "llama" else 0)
