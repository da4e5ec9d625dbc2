"""Every task agrees with itself, and its solver with an independent one."""

from collections import Counter
from decimal import Decimal
from random import Random

import networkx as nx
import pytest

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import graph_hash, split_of
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem, from_json
from datamodules.graphs.task import find_task, task_names
from datamodules.graphs.tasks.cycle import forest, rewired

EVERY = [(task, structure) for task in task_names() for structure in find_task(task).topologies]


@pytest.mark.parametrize(("task", "structure"), EVERY)
def test_every_problem_reads_back_and_its_own_answer_is_right(task, structure):
    for index in range(6):
        problem = Distribution(task, structure=structure, numbers="decimal").problem(
            0, "test", index
        )
        find_task(task).check(problem)
        find_task(task).validate(problem)
        assert from_json(problem.to_json()) == problem


def test_a_shortest_path_is_as_long_as_networkx_says():
    for index in range(20):
        problem = Distribution("shortest_path", numbers="decimal").problem(1, "test", index)
        length = nx.dijkstra_path_length(problem.graph.network(), *problem.asked)
        assert find_task("shortest_path").answer(problem).endswith(f"Its length is {length}.")


def test_an_answer_about_nodes_that_are_apart_is_judged_as_well():
    graph = Graph(4, (Edge(0, 1, Decimal(2)), Edge(2, 3, Decimal(1))))
    problem = Problem("shortest_path", graph, (0, 3), tuple("0123"))
    judge = find_task("shortest_path").judge
    assert judge(problem, "There is no path.") == "right"
    assert judge(problem, "The shortest path is 0 -> 1 -> 3. Its length is 3.") == "infeasible"


def test_isomorphic_graphs_have_one_hash_and_one_split():
    rng = Random(0)
    for _ in range(50):
        num = rng.randint(3, 9)
        pairs = [(a, b) for a in range(num) for b in range(a) if rng.random() < 0.4]
        new = rng.sample(range(num), num)
        other = [(new[b], new[a]) for a, b in pairs]
        rng.shuffle(other)
        assert graph_hash(num, pairs, False) == graph_hash(num, other, False)


def test_no_graph_of_the_test_is_isomorphic_to_one_of_training():
    of = Distribution("topological_sort", structure="small")
    train, test = (
        [of.problem(seed, split, index).graph.network() for index in range(25)]
        for seed, split in ((0, "train"), (1, "test"))
    )
    assert not any(nx.is_isomorphic(one, other) for one in train for other in test)


def test_the_same_graphs_come_in_all_forms_numbers_and_orders():
    usual = Distribution("shortest_path")
    others = [
        Distribution("shortest_path", form="expert"),
        Distribution("shortest_path", numbers="large"),
        Distribution("shortest_path", order="shuffled"),
    ]
    for index in range(5):
        problem = usual.problem(3, "test", index)
        for other in others:
            twin = other.problem(3, "test", index)
            assert {e[:2] for e in twin.graph.edges} == {e[:2] for e in problem.graph.edges}
            assert twin.asked == problem.asked


def test_answers_about_connectivity_are_balanced_within_equal_degrees():
    said = Counter()
    for index in range(400):
        problem = Distribution(structure="small").problem(0, "train", index)
        degrees = tuple(sorted(len(problem.graph.after[node]) for node in problem.asked))
        said[degrees, find_task("connectivity").answer(problem)] += 1
    for degrees in {(1, 1), (1, 2), (2, 2)}:
        yes, no = (said[degrees, f"The answer is {word}."] for word in ("yes", "no"))
        assert abs(yes - no) < 3 * (yes + no) ** 0.5


def test_a_cycle_is_asked_of_graphs_with_the_degrees_of_a_forest():
    rng = Random(0)
    for num in (5, 8, 12):
        trees = forest(num, num - 1, rng)
        twin = rewired(num, trees, rng)
        if twin is not None:
            assert not nx.is_forest(nx.Graph(twin))
            assert Counter(sum(trees, ())) == Counter(sum(twin, ()))
            assert len({frozenset(pair) for pair in twin}) == len(trees)


def test_a_split_follows_from_the_graph_alone():
    assert split_of(3, [(0, 1), (1, 2)], False) == split_of(3, [(2, 0), (1, 0)], False)
