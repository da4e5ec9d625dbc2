"""Path-star graphs (Bachmann and Nagarajan, 2024) of reasoning-gym, told as shortest paths.

Arms of equal length leave one node; the path to the end of one arm is unique. Edges become
undirected, which leaves the path what it is.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import FIELD, Problem
from datamodules.graphs.task import find_task
from datamodules.graphs.wording.forms import find_wording
from datamodules.graphs.wording.names import node_names
from datamodules.graphs.wording.wording import Wording

TASK = "shortest_path"
GIVEN = re.compile(r"((?:\|\d+ \d+)+)/(\d+) (\d+) = *$", re.M)
"""Edges and the two nodes that are asked for, as the last line of a question."""
ALONE = Decimal(1)
"""The weight of every edge."""


def problem_of_entry(entry: Mapping[str, Any], wording: Wording) -> Problem:
    """The problem of an entry, its nodes in the order of their labels, named by the wording.

    Raises:
        ValueError: The question has no such line.
    """
    found = [*GIVEN.finditer(entry["question"])]
    if not found:
        raise ValueError(f"no path-star graph: {entry['question'][-80:]!r}")
    pairs = [pair.split() for pair in found[-1][1].split("|")[1:]]
    labels = sorted({name for pair in pairs for name in pair}, key=int)
    number = {name: node for node, name in enumerate(labels)}
    ends = sorted((min(pair), max(pair)) for pair in ((number[a], number[b]) for a, b in pairs))
    edges = tuple(Edge(a, b, ALONE) for a, b in ends)
    asked = number[found[-1][2]], number[found[-1][3]]
    rng = Random(f"names/{entry['metadata']['source_index']}")
    names = node_names(wording.naming, len(labels), rng)
    return Problem(TASK, Graph(len(labels), edges), asked, names)


def retold(entry: Mapping[str, Any], form: str) -> tuple[dict[str, str], str]:
    """The fields of a question about the same graph in a form of shortest paths, and its answer."""
    task = find_task(TASK)
    wording = find_wording(task.wordings, form, TASK)
    problem = problem_of_entry(entry, wording)
    told = {"question": wording.write(problem), "query": wording.query(problem)}
    return told | {FIELD: problem.to_json()}, task.answer(problem)
