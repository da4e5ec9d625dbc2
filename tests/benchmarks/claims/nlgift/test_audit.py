"""The audit finds planted errors, and the checkers make none."""

import pytest

from benchmarks.claims.nlgift import audit
from benchmarks.claims.nlgift.nlgraph import problem_of, told_by
from benchmarks.claims.nlgift.truth import SOLUTIONS, Content, Truth
from benchmarks.claims.nlgift.wordings import in_words
from datamodules.graphs.task import find_task


@pytest.mark.parametrize("task", SOLUTIONS)
def test_no_wrong_answer_is_accepted_and_no_right_one_refused(task):
    found = audit.audited(task, 400)
    assert (found["false_accepts"], found["false_refusals"]) == (0, 0), found["examples"]
    assert found["wrong"] > found["right"] > 20


def test_a_checker_that_accepts_all_is_found_out(monkeypatch):
    monkeypatch.setattr(type(find_task("cycle")), "judge", lambda *_: "right")
    found = audit.audited("cycle", 200)
    assert found["false_accepts"] == found["wrong"] > 0


def test_nlgraph_s_questions_are_read():
    told = (
        "In an undirected graph, the nodes are numbered from 0 to 2, and the edges are:\n"
        "an edge between node 0 and node 1 with weight 4,\n"
        "an edge between node 1 and node 2 with weight 3.\n"
        "Q: Give the shortest path from node 0 to node 2.\nA:"
    )
    problem = problem_of("shortest_path", told)
    said = "The shortest path from node 0 to node 2 is 0,1,2 with a total weight of 7"
    assert told_by("shortest_path", said) == Content(nodes=("0", "1", "2"), value=7)
    assert Truth(problem).holds(told_by("shortest_path", said))
    assert find_task("shortest_path").judge(problem, said) == "right"


def test_numbers_are_put_into_words():
    assert in_words(1115) == "one thousand one hundred and fifteen"
