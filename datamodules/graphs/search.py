"""Searches in a graph, step by step, in the order in which rationales tell them."""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from heapq import heappop, heappush

from datamodules.graphs.graph import Graph


def breadth_first(graph: Graph, start: int) -> Iterator[tuple[int, list[int]]]:
    """Each reached node in order, with the nodes that are first reached from it."""
    seen, todo = {start}, deque([start])
    while todo:
        node = todo.popleft()
        new = [other for other in graph.after[node] if other not in seen]
        seen.update(new)
        todo += new
        yield node, new


def fewest_edges(graph: Graph, start: int, end: int) -> list[int] | None:
    """A path of fewest edges; None if there is none."""
    before = {start: start}
    for node, new in breadth_first(graph, start):
        before |= dict.fromkeys(new, node)
    return backwards(before, start, end)


def settled(graph: Graph, start: int) -> Iterator[tuple[int, int, Decimal]]:
    """Each node in order of its distance, with the one before it and the distance (Dijkstra, 1959).

    Of equal distances the lower node comes first; the start itself is left out.
    """
    done, todo = set[int](), [(Decimal(0), start, start)]
    while todo:
        distance, node, before = heappop(todo)
        if node in done:
            continue
        done.add(node)
        if node != start:
            yield node, before, distance
        for other in graph.after[node]:
            weight = graph.weight_of[node, other]
            if other not in done and weight is not None:
                heappush(todo, (distance + weight, other, node))


def shortest(graph: Graph, start: int, end: int) -> tuple[list[int], Decimal] | None:
    """A shortest path and its length; None if there is none."""
    before, distance = {start: start}, {start: Decimal(0)}
    for node, last, length in settled(graph, start):
        before[node], distance[node] = last, length
    path = backwards(before, start, end)
    return None if path is None else (path, distance[end])


def backwards(before: dict[int, int], start: int, end: int) -> list[int] | None:
    """The path to a node, from the node before each."""
    if end not in before:
        return None
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def topological(graph: Graph) -> list[int] | None:
    """An order in which every arc leads on, of possible ones the lowest; None in a cycle."""
    open_arcs = [0] * graph.num_nodes
    for edge in graph.edges:
        open_arcs[edge.b] += 1
    ready = [node for node, num in enumerate(open_arcs) if num == 0]
    order: list[int] = []
    while ready:
        node = min(ready)
        ready.remove(node)
        order.append(node)
        for other in graph.after[node]:
            open_arcs[other] -= 1
            if open_arcs[other] == 0:
                ready.append(other)
    return order if len(order) == graph.num_nodes else None
