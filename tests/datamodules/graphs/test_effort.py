"""Problems that are asked for by what they take, at one size."""

import hashlib

import pytest

from datamodules.graphs import distribution
from datamodules.graphs.asked import AskedGraphs
from datamodules.graphs.conversations import GraphConversations
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.problem import problem_of
from datamodules.graphs.task import find_task

SIZE = {"structure": "small", "nodes": (8, 8), "edges": (8, 10)}
KNOWN = {
    "f84bf1d7e02b": {},
    "1daaa3ac615b": {"structure": "small", "nodes": (5, 7), "rationale": "search"},
    "3a602747beda": {
        "task": "shortest_path",
        "form": "expert",
        "numbers": "decimal",
        "structure": "small",
    },
    "16c527c5d540": {"task": "topological_sort", "structure": "small", "order": "shuffled"},
    "09b32abdd2cc": {"task": "max_flow", "structure": "small", "ask": "format"},
}
"""Behaviours of distributions, from before problems were asked for by effort."""
CONVERSATIONS = "6bb405801a5b"
"""The same of conversations."""
NUM = 24


def problems(num=NUM, split="test", **options):
    of = Distribution(**options)
    return [of.problem(0, split, index) for index in range(num)]


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("connectivity", {"effort": (3, 3)}),
        ("connectivity", {"effort": (2, 4)}),
        ("shortest_path", {"effort": (4, 4), "numbers": "decimal"}),
        ("topological_sort", {"effort": (3, 3)}),
        ("max_flow", {"effort": (2, 2), "edges": (14, 20)}),
    ],
)
def test_problems_have_the_effort_and_the_size_that_are_asked_for(task, options):
    limits = SIZE | options
    asked = problems(task=task, **limits)
    for problem in asked:
        assert problem.graph.num_nodes == 8
        assert limits["edges"][0] <= len(problem.graph.edges) <= limits["edges"][1]
        low, high = limits["effort"]
        assert low <= find_task(task).effort(problem) <= high
        find_task(task).check(problem)
    assert asked == problems(task=task, **limits)
    assert len({problem.graph.edges for problem in asked}) > NUM // 2


def test_over_three_hops_as_many_are_joined_as_not():
    asked = problems(40, **SIZE, effort=(3, 3))
    said = [find_task("connectivity").answer(problem) for problem in asked]
    assert 12 <= said.count("The answer is yes.") <= 28


def test_a_limit_that_is_met_anyway_changes_no_problem():
    wide = {"edges": (0, 1000)}
    for task in ("connectivity", "max_flow"):
        assert problems(4, task=task, structure="small") == problems(
            4, task=task, structure="small", **wide
        )
    for task in ("shortest_path", "max_flow"):
        assert problems(4, task=task, structure="small", effort=(0, 1000)) == problems(
            4, task=task, structure="small"
        )


@pytest.mark.parametrize("behaviour", KNOWN)
def test_distributions_without_limits_are_those_of_earlier_results(behaviour):
    assert Distribution(**KNOWN[behaviour]).behaviour == behaviour


def test_conversations_without_limits_are_those_of_earlier_results():
    fingerprint = GraphConversations(3, Distribution(structure="small")).fingerprint()
    assert hashlib.sha256(fingerprint.encode()).hexdigest()[:12] == CONVERSATIONS


def test_sets_of_an_effort_have_names_of_their_own():
    of = Distribution("shortest_path", **SIZE)
    efforts = {"near": {"effort": [3, 3]}, "far": {"effort": [5, 5]}}
    data = AskedGraphs(efforts, of, num_test=2)
    data.setup("test")
    asked = [data._questions["test"].questions[index].fields for index in range(4)]
    assert [one["task"] for one in asked] == ["near", "near", "far", "far"]
    assert "edges8-10:effort3-3" in asked[0]["set"]
    assert len({one["set"] for one in asked}) == 2
    assert [find_task("shortest_path").effort(problem_of(one)) for one in asked] == [3, 3, 5, 5]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"edges": (5, 2)}, "edges must rise from 0 on, got"),
        ({"effort": (-1, 2)}, "effort must rise from 0 on, got"),
    ],
)
def test_limits_that_fall_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Distribution(**options)


def test_limits_that_no_graph_meets_are_told(monkeypatch):
    monkeypatch.setattr(distribution, "MOST_LIMITED", 200)
    with pytest.raises(ValueError, match=r"8 nodes, edges \[8, 10\], effort \[9, 12\] for test"):
        problems(1, **SIZE, effort=(9, 12))
