import pytest

from datamodules.questions.demonstrations import Demonstration, Demonstrations
from modules.prompting.demonstrations import Pool


def test_the_same_question_is_found_whatever_its_case_and_spaces():
    texts = ("Say  it.", "no", "say it.\n")
    pool = Pool(Demonstrations([Demonstration(text, "x") for text in texts]))
    assert pool.same("SAY IT.") == [0, 2]
    assert pool.same("Say that.") == []


def test_an_empty_question_is_refused():
    pool = Pool(Demonstrations([], "{instruction} {input}"))
    assert pool.question({"instruction": " Add. ", "input": ""}) == "Add."
    with pytest.raises(ValueError, match=r"the question is empty: \{'instruction': ' '"):
        pool.question({"instruction": " ", "input": ""})
