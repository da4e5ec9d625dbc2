"""A picture of a graph with an answer drawn in."""

from collections.abc import Sequence
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.drawing.sheet import Point, Sheet

SIZE = 420
MARGIN = 36
RADIUS = 13
PLAIN, MARKED, NODE, ASKED = "#b0b0b0", "#d62728", "#4c78a8", "#f58518"
Edges = Sequence[Sequence[Any]]
"""Rows of two nodes, and a weight where there is one."""


def graph_picture(
    names: Sequence[str],
    edges: Edges,
    is_directed: bool,
    asked: Sequence[int],
    marked: Sequence[tuple[int, int]],
) -> NDArray[np.uint8]:
    """Draw a graph; nodes that are asked about and edges of an answer stand out.

    Args:
        names: Name of each node.
        edges: Each a row of two nodes, and its weight where it has one.
        is_directed: Whether edges are arrows.
        asked: Nodes that the question names.
        marked: Edges of the answer; those that the graph does not have are drawn as well.

    Returns:
        Colours, [height, width, 3].
    """
    at = layout(len(names), edges)
    sheet = Sheet(SIZE, SIZE)
    known = {(edge[0], edge[1]) for edge in edges}
    known |= set() if is_directed else {(b, a) for a, b in known}
    for edge in edges:
        is_marked = (edge[0], edge[1]) in marked or (
            not is_directed and (edge[1], edge[0]) in marked
        )
        stroke(sheet, at[edge[0]], at[edge[1]], MARKED if is_marked else PLAIN, is_directed)
    for a, b in marked:
        if (a, b) not in known:
            stroke(sheet, at[a], at[b], MARKED, True)
    for edge in edges:
        if len(edge) > 2:
            share = 0.3 if is_directed else 0.5  # arcs both ways have weights of their own
            (x, y), (to_x, to_y) = at[edge[0]], at[edge[1]]
            place = (x + share * (to_x - x), y + share * (to_y - y))
            sheet.text(place, str(edge[2]), "mm", "#444444")
    for node, name in enumerate(names):
        sheet.disc(at[node], RADIUS, ASKED if node in asked else NODE)
        sheet.text(at[node], name, "mm", "white" if len(name) < 4 else "black")
    return np.asarray(sheet.image())


def layout(num_nodes: int, edges: Edges) -> list[Point]:
    """Places of the nodes on the sheet; the same for the same graph."""
    import networkx as nx

    network = nx.Graph([(edge[0], edge[1]) for edge in edges])
    network.add_nodes_from(range(num_nodes))
    place = (
        nx.kamada_kawai_layout(network)
        if nx.is_connected(network)
        else nx.circular_layout(sorted(network))
    )
    xy = np.array([place[node] for node in range(num_nodes)], float).reshape(-1, 2)
    span = np.maximum(xy.max(0) - xy.min(0), 1e-9)
    scaled = MARGIN + (xy - xy.min(0)) / span * (SIZE - 2 * MARGIN)
    return [(float(x), float(y)) for x, y in scaled]


def stroke(sheet: Sheet, start: Point, end: Point, ink: str, is_arrow: bool) -> None:
    """An edge as a line of two or three pixels, with a head where it is an arrow."""
    length = hypot(end[0] - start[0], end[1] - start[1]) or 1.0
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    wide = 1.2 if ink == MARKED else 0.6
    sides = [
        (start[0] - wide * uy, start[1] + wide * ux),
        (start[0] + wide * uy, start[1] - wide * ux),
    ]
    sides += [(end[0] + wide * uy, end[1] - wide * ux), (end[0] - wide * uy, end[1] + wide * ux)]
    sheet.area(sides, ink)
    if is_arrow:
        tip = (end[0] - RADIUS * ux, end[1] - RADIUS * uy)
        back = (tip[0] - 10 * ux, tip[1] - 10 * uy)
        sheet.area(
            [tip, (back[0] - 5 * uy, back[1] + 5 * ux), (back[0] + 5 * uy, back[1] - 5 * ux)], ink
        )
