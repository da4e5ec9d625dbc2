"""Drawn problems have the statistics that are stated of the paper's own (2406.15992).

Its generator was not released: ranges and means of its released problems are all that is known.
Each row says how far a mean of ours may lie from it.
"""

from decimal import Decimal
from statistics import mean
from typing import NamedTuple

import pytest

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.topology import SPARSE, TRANSITIVE, transitivity
from datamodules.graphs.task import find_task

NUM = 80


class Stated(NamedTuple):
    """Statistics of the released problems; None where nothing is stated.

    Numbers of edges vary by 0.6 of their mean: 0.2 of it are three standard errors of 80 problems.
    """

    task: str
    structure: str
    nodes: tuple[int, int, float]
    density: float | None = None
    edges: float | None = None
    within: float = 0.2


STATED = [
    # a pair of nodes is asked for whose degrees tell nothing, which takes sparser graphs: 0.29
    Stated("connectivity", "erdos_renyi", (5, 35, 25), density=0.32),
    Stated("shortest_path", "erdos_renyi", (3, 25, 14), density=0.42),
    Stated("shortest_path", "barabasi_albert", (3, 25, 14), edges=42),
    Stated("shortest_path", "small", (3, 10, 6.7), density=0.46),
    Stated("shortest_path", "large", (11, 25, 18), density=0.29),
    Stated("shortest_path", "transitive", (3, 25, 14), density=0.77),
    Stated("shortest_path", "sparse", (3, 25, 14), density=0.29),
    # the edges of orders follow from nodes and densities, which are matched to means of nodes:
    # ours have up to 30 % more or fewer than the released ones
    Stated("topological_sort", "erdos_renyi", (3, 24, 7.7), edges=6.8, within=0.35),
    Stated("topological_sort", "barabasi_albert", (3, 24, 8.4)),
    Stated("topological_sort", "small", (3, 10, 5.4)),
    Stated("topological_sort", "large", (11, 25, 13.9)),
    Stated("topological_sort", "transitive", (3, 24, 6.0), edges=11.4, within=0.35),
    Stated("topological_sort", "sparse", (3, 24, 6.0), edges=5.0, within=0.35),
    Stated("max_flow", "erdos_renyi", (3, 25, 14), edges=96.5),
]
"""Of structures that are not in the list, such as `small` of connectivity, the paper has no set."""


def drawn(task, structure, num=NUM, **options):
    of = Distribution(task, structure=structure, **options)
    return [of.problem(1, "test", index).graph for index in range(num)]


@pytest.mark.parametrize("row", STATED, ids=lambda row: f"{row.task}-{row.structure}")
def test_sizes_and_densities_are_those_that_are_stated(row):
    graphs = drawn(row.task, row.structure)
    low, high, middle = row.nodes
    sizes = [graph.num_nodes for graph in graphs]
    assert low <= min(sizes) <= max(sizes) <= high
    assert mean(sizes) == pytest.approx(middle, rel=0.15)  # three standard errors of 80 problems
    if row.density is not None:
        assert mean(g.density for g in graphs) == pytest.approx(row.density, abs=0.06)
    if row.edges is not None:
        assert mean(len(g.edges) for g in graphs) == pytest.approx(row.edges, rel=row.within)


@pytest.mark.parametrize("task", ["shortest_path", "topological_sort"])
def test_transitivity_is_high_or_low_without_exception(task):
    for structure, is_held in (
        ("transitive", lambda found: found >= TRANSITIVE),
        ("sparse", lambda found: found <= SPARSE),
    ):
        for graph in drawn(task, structure, 25):
            pairs = [(min(edge[:2]), max(edge[:2])) for edge in graph.edges]
            assert is_held(transitivity(graph.num_nodes, pairs))


@pytest.mark.parametrize("task", ["shortest_path", "max_flow"])
@pytest.mark.parametrize(
    ("numbers", "low", "high", "digits"),
    [("small", "1", "10", 0), ("large", "10", "100", 0), ("decimal", "1.0", "10.0", 1)],
)
def test_weights_fill_their_range_and_have_its_decimals(task, numbers, low, high, digits):
    graphs = drawn(task, "small", 60, numbers=numbers)
    weights = [edge.weight for graph in graphs for edge in graph.edges]
    ends = Decimal(low), Decimal(high)
    assert ends[0] <= min(weights)
    assert max(weights) <= ends[1]
    span = ends[1] - ends[0]
    assert min(weights) <= ends[0] + span / 10
    assert max(weights) >= ends[1] - span / 10
    assert mean(weights) == pytest.approx(sum(ends) / 2, rel=Decimal("0.1"))
    assert {-int(weight.as_tuple().exponent) for weight in weights} == {digits}


@pytest.mark.parametrize("task", ["connectivity", "cycle"])
def test_half_of_the_answers_are_yes(task):
    of = Distribution(task, structure="small")
    said = [find_task(task).answer(of.problem(1, "test", index)) for index in range(200)]
    share = said.count("The answer is yes.") / len(said)
    assert share == pytest.approx(0.51, abs=0.1)  # the paper's: 0.51; three standard errors


def test_orders_are_asked_of_acyclic_graphs_and_flows_reach_their_end():
    for graph in drawn("topological_sort", "erdos_renyi", 20):
        assert all(edge.a not in graph.reached(edge.b) for edge in graph.edges)
    of = Distribution("max_flow", structure="small")
    for index in range(20):
        problem = of.problem(1, "test", index)
        assert problem.asked[1] in problem.graph.reached(problem.asked[0])
