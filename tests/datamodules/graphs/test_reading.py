"""Readers of free text: they never fail, and read one answer or say that there are two."""

import itertools
from decimal import Decimal
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.reading.number_words import with_digits
from datamodules.graphs.reading.sequences import nodes_of, to_nodes
from datamodules.graphs.reading.values import value_of
from datamodules.graphs.reading.verdict import AMBIGUOUS, VERDICTS
from datamodules.graphs.task import find_task, task_names

PROBLEMS = [
    Distribution(task, structure="small").problem(0, "test", 1)
    for task in task_names()
    if "small" in find_task(task).topologies
]
NAMES = tuple("01234")
PIECES = st.sampled_from(
    "yes no not 0 1 2 3 99 7.5 -1 -> → , ; . ? ! ** \\boxed{ } $ and or is path order flow answer "
    "the length maximum 1,000 five hundred wait \n node nodes there = + / Q: A: from to".split(" ")
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map(" ".join))


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_no_text_makes_a_checker_fail(text):
    for problem in PROBLEMS:
        task = find_task(problem.task)
        assert task.judge(problem, text) in VERDICTS
        assert task.steps(problem, text).num >= 0


@settings(max_examples=60, deadline=None)
@given(st.permutations(NAMES), st.sampled_from([" -> ", ", ", " → ", " then ", "-", " "]))
def test_an_order_is_read_as_it_is_told(order, join):
    text = f"One possible order is {join.join(order)}."
    assert nodes_of(text, NAMES, "order") == tuple(map(int, order))


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(NAMES),
    st.integers(0, 5),
    st.sampled_from(["X", "9", "-1", "2.5", "Q9", "zzz", "..."]),
)
def test_a_node_that_does_not_exist_is_never_left_out(order, at, odd):
    told = " -> ".join([*order[:at], odd, *order[at:]])
    for text in (f"One possible order is {told}.", told, f"Answer: {told}"):
        assert nodes_of(text, NAMES, "order") not in (tuple(map(int, order)), None)


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(NAMES), st.permutations(NAMES), st.sampled_from(". |, | or |\n|; ".split("|"))
)
def test_two_orders_are_never_one(first, second, between):
    if first != second:
        text = f"The order is {' -> '.join(first)}{between}{' -> '.join(second)}."
        assert nodes_of(text, NAMES, "order") not in (to_nodes(" -> ".join(first), NAMES), None)


@settings(max_examples=100, deadline=None)
@given(st.decimals(0, 10**6, places=1), st.decimals(0, 10**6, places=1))
def test_a_number_is_read_and_two_are_ambiguous(first, second):
    assert value_of(f"The flow is {first}.", "flow") == first
    assert value_of(f"The flow is {first:,}.", "flow") == first
    if first != second:
        for between in (" or ", ". Wait, it is ", ". It is ", "\n"):
            assert value_of(f"The flow is {first}{between}{second}.", "flow") is AMBIGUOUS


def test_no_number_is_rounded():
    assert value_of("The flow is 5.0000000000000000000000000000001.", "flow") != Decimal(5)


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("twenty-three", "23"),
        ("one hundred and five", "105"),
        ("two thousand three hundred", "2300"),
        ("seven point five", "7.5"),
        ("three and four", "3 and 4"),
        ("two three", "2 3"),
        ("minus one", "-1"),
    ],
)
def test_numbers_in_words_follow_their_grammar(words, digits):
    assert with_digits(words) == digits


@pytest.mark.parametrize(
    "text",
    [
        "The maximum flow is not 5.",
        "The maximum flow is at least 5.",
        "The maximum flow is 5? ",
        "The maximum flow is 5,5.",
        "The maximum flow is 5 * 2.",
        "The maximum flow is 5 / 2.",
        "The maximum flow is 5. No, that is wrong.",
        "The maximum flow is 5..6",
        "The maximum flow is 5. Or 6.",
        "The maximum flow is 5. Alternatively, 6.",
        "The maximum flow is 5. No, 6.",
        "It is false that the maximum flow is 5.",
    ],
)
def test_what_is_denied_doubted_or_a_part_is_no_answer(text):
    assert value_of(text, "maximum flow") in (AMBIGUOUS, None)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("yes", "right"),
        ("It is not true that the answer is yes.", "ambiguous"),
        ("We ask whether there is a path between node 0 and node 1. Yes.", "right"),
        ("If there is a path, say so.", "unparsed"),
        ("Yes, maybe.", "ambiguous"),
        ("The answer is yes. No?", "ambiguous"),
        ("Yes or no? The answer is yes.", "right"),
        ("__Yes__", "right"),
    ],
)
def test_a_condition_is_no_answer_and_a_denial_none_that_counts(text, verdict):
    problem = Problem("connectivity", Graph(2, (Edge(0, 1),)), (0, 1), ("0", "1"))
    assert find_task("connectivity").judge(problem, text) == verdict


def test_a_length_that_is_told_without_an_article_counts():
    graph = Graph(3, (Edge(0, 1, Decimal(2)), Edge(1, 2, Decimal(3))))
    problem = Problem("shortest_path", graph, (0, 2), ("0", "1", "2"))
    judge = find_task("shortest_path").judge
    for told, right in itertools.product(
        ("{} (length {})", "{}, with length {}", "{} with a total weight of {}", "{}. Length: {}"),
        (5, 99),
    ):
        text = f"The shortest path is {told.format('0 -> 1 -> 2', right)}"
        assert judge(problem, text) == ("right" if right == 5 else "wrong"), text


@pytest.mark.parametrize(
    "piece", [" ", "-", "1", "a", "0 -> ", "1, ", "not ", "yes ", "five ", "\n"]
)
def test_answers_that_run_on_are_read_in_little_time(piece):
    text = "The answer is" + piece * (8000 // len(piece))
    begun = process_time()
    for problem in PROBLEMS:
        find_task(problem.task).judge(problem, text)
    assert process_time() - begun < 2
