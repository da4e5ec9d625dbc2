"""Solvers and checkers against brute force, on all small graphs, edgeless and disconnected too.

Undirected graphs are all those of up to five nodes. Of the million directed ones of five nodes
those are taken whose arcs all lead on, of which every acyclic graph is one by other names, and for
flows those of which every arc has its opposite; of up to three nodes all, of four a share.
"""

import itertools
from decimal import Decimal

import pytest

from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import find_task

ALL = [4, pytest.param(5, marks=pytest.mark.slow)]
"""Most nodes."""


def graphs(most, is_directed=False, weighted=False, least=1, leads_on=False):
    """All graphs of so many nodes, directed ones whose arcs all lead on; their weights differ."""
    of = itertools.permutations if is_directed and not leads_on else itertools.combinations
    for num in range(least, most + 1):
        pairs = [*of(range(num), 2)]
        for chosen in itertools.product([False, True], repeat=len(pairs)):
            edges = [
                Edge(a, b, Decimal(1 + (5 * a + 3 * b) % 7) if weighted else None)
                for (a, b), is_in in zip(pairs, chosen, strict=True)
                if is_in
            ]
            yield Graph(num, tuple(edges), is_directed)


def asked(task, graph, *nodes):
    return Problem(task, graph, nodes, tuple(map(str, range(graph.num_nodes))))


def walks(graph, start, end):
    """All paths that visit no node twice."""
    others = [node for node in range(graph.num_nodes) if node not in (start, end)]
    for num in range(len(others) + 1):
        for between in itertools.permutations(others, num):
            if graph.is_path([start, *between, end]):
                yield [start, *between, end]


def parts(graph):
    """Number of connected parts, by merging."""
    part = [*range(graph.num_nodes)]
    for a, b, _ in graph.edges:
        part = [part[a] if one == part[b] else one for one in part]
    return len({*part})


def told(nodes):
    return " -> ".join(map(str, nodes))


@pytest.mark.parametrize("most", ALL)
def test_connectivity_of_all_graphs(most):
    task = find_task("connectivity")
    for graph in graphs(most):
        for start, end in itertools.combinations(range(graph.num_nodes), 2):
            problem = asked("connectivity", graph, start, end)
            right, wrong = ("yes", "no") if any(walks(graph, start, end)) else ("no", "yes")
            assert task.answer(problem) == f"The answer is {right}."
            assert task.judge(problem, f"The answer is {right}.") == "right"
            assert task.judge(problem, f"The answer is {wrong}.") == "wrong"


def test_cycles_of_all_graphs():
    task = find_task("cycle")
    for graph in graphs(5):
        is_forest = len(graph.edges) == graph.num_nodes - parts(graph)
        problem = asked("cycle", graph)
        assert task.judge(problem, "no" if is_forest else "yes") == "right"
        assert task.judge(problem, "yes" if is_forest else "no") == "wrong"


@pytest.mark.parametrize("most", ALL)
def test_shortest_paths_of_all_graphs(most):
    """Of five nodes from the first to the last: any other pair is the same by other names."""
    task = find_task("shortest_path")
    for graph in graphs(most, weighted=True):
        every = [*itertools.combinations(range(graph.num_nodes), 2)]
        for start, end in every if graph.num_nodes < 5 else [(0, 4)]:
            problem = asked("shortest_path", graph, start, end)
            lengths = {tuple(path): graph.length(path) for path in walks(graph, start, end)}
            is_none = task.judge(problem, "There is no path.") == "right"
            assert is_none == (not lengths) == (task.answer(problem) == "There is no path.")
            for path, length in lengths.items():
                text = f"The shortest path is {told(path)}. Its length is {length}."
                is_best = length == min(lengths.values())
                assert task.judge(problem, text) == ("right" if is_best else "suboptimal")


def directed(most, weighted=False):
    """Directed graphs, as the top of this file says."""
    yield from graphs(3, True, weighted)
    if most == 5:
        yield from itertools.islice(graphs(4, True, weighted, least=4), 0, None, 7)
        yield from graphs(5, True, weighted, least=4, leads_on=True)


@pytest.mark.parametrize("most", ALL)
def test_orders_of_all_directed_graphs(most):
    task = find_task("topological_sort")
    for graph in directed(most):
        problem = asked("topological_sort", graph)
        valid = [
            order
            for order in itertools.permutations(range(graph.num_nodes))
            if all(order.index(a) < order.index(b) for a, b, _ in graph.edges)
        ]
        is_none = task.judge(problem, "There is no such order.") == "right"
        assert is_none == (not valid) == (task.answer(problem) == "There is no such order.")
        for order in itertools.permutations(range(graph.num_nodes)):
            said = task.judge(problem, f"One possible order is {told(order)}.")
            assert said == ("right" if order in valid else "infeasible")


def both_ways(graph):
    """An undirected graph with an arc each way, of unlike capacities."""
    back = (Edge(b, a, weight + 1) for a, b, weight in graph.edges)
    return Graph(graph.num_nodes, (*graph.edges, *back), True)


@pytest.mark.parametrize("most", ALL)
def test_flows_of_all_directed_graphs(most):
    task = find_task("max_flow")
    larger = itertools.islice(graphs(4, True, True, least=4), 0, None, 31)
    opposite = map(both_ways, graphs(most, weighted=True, least=4))
    for graph in itertools.chain(directed(most, True), larger, opposite):
        if graph.num_nodes > 1:
            problem = asked("max_flow", graph, 0, graph.num_nodes - 1)
            cut = least_cut(graph)
            assert task.answer(problem) == f"The maximum flow is {cut}."
            assert task.judge(problem, f"The maximum flow is {cut + 1}.") == "infeasible"


def least_cut(graph):
    """Of all sets of nodes that hold the first and not the last, the least that leaves one."""
    inner = range(1, graph.num_nodes - 1)
    sets = itertools.product([False, True], repeat=len(inner))
    insides = [
        {0, *(node for node, is_in in zip(inner, one, strict=True) if is_in)} for one in sets
    ]
    return min(
        sum(weight for a, b, weight in graph.edges if a in inside and b not in inside)
        for inside in insides
    )


@pytest.mark.parametrize("most", ALL)
def test_hamilton_paths_of_all_graphs(most):
    task = find_task("hamilton_path")
    for graph in graphs(most):
        problem = asked("hamilton_path", graph)
        orders = [*itertools.permutations(range(graph.num_nodes))]
        paths = [order for order in orders if graph.is_path(order)]
        assert (task.judge(problem, "There is no such path.") == "right") == (not paths)
        for order in orders:
            said = task.judge(problem, f"The path is {told(order)}.")
            assert said == ("right" if order in paths else "infeasible")


@pytest.mark.parametrize(
    ("num", "edges", "why"),
    [
        (0, (), "needs a node"),
        (2, (Edge(1, 1),), "self-loop"),
        (2, (Edge(0, 1), Edge(1, 0)), "twice"),
        (2, (Edge(0, 2),), "the nodes are 0 to 1"),
        (2, (Edge(0, 1, Decimal("NaN")),), "must be positive"),
    ],
)
def test_what_is_no_simple_graph_is_refused(num, edges, why):
    with pytest.raises(ValueError, match=why):
        Graph(num, edges)
