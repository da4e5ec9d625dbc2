"""NLGraph's own answers, by our checkers and by networkx.

Its texts are parsed here alone. Rows of tasks that we have none of (gnn, matching) are left out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.claims.nlgift.truth import Content, Truth
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import find_task

TASKS = {
    "connectivity": "connectivity",
    "cycle": "cycle",
    "flow": "max_flow",
    "hamilton": "hamilton_path",
    "shortest_path": "shortest_path",
    "topology": "topological_sort",
}
"""Our task for each of theirs."""
PAIR = re.compile(r"\((\d+),(\d+)\)")
WEIGHTED = re.compile(r"node (\d+) (?:to|and) node (\d+) with (?:capacity|weight) (\d+)")
BEFORE = re.compile(r"node (\d+) should be visited before node (\d+)")
LAST = re.compile(r"numbered from 0 to (\d+)")
SAID = re.compile(r"\d+(?:,\d+)+|\d+")


def nlgraph(file: Path) -> dict[str, Any]:
    """Counts by task: rows, those whose own answer a checker calls right, and what is true.

    Args:
        file: The table of their rows.
    """
    found: dict[str, Counter[str]] = {name: Counter() for name in TASKS}
    for row in rows(file):
        if row["task"] in TASKS:
            count = found[row["task"]]
            count["rows"] += 1
            try:
                problem = problem_of(row["task"], row["question"])
            except ValueError as error:
                count[f"no simple graph: {re.sub('[0-9]+', 'n', str(error))}"] += 1
                continue
            verdict = find_task(problem.task).judge(problem, row["answer"])
            is_right = Truth(problem).holds(told_by(row["task"], row["answer"]))
            count["right by checker"] += verdict == "right"
            count["right in truth"] += is_right
            count["differ"] += is_right != (verdict == "right")
    return {name: dict(count) for name, count in found.items()}


def rows(file: Path) -> Iterator[dict[str, str]]:
    """The rows of a table."""
    import pyarrow.parquet as pq

    yield from pq.read_table(file, columns=["task", "question", "answer"]).to_pylist()


def problem_of(task: str, text: str) -> Problem:
    """The problem that a question of theirs tells.

    Raises:
        ValueError: Its graph is not simple.
    """
    description, question = text.split("\nQ: ")
    edges = [Edge(int(a), int(b)) for a, b in BEFORE.findall(description)]
    if weighted := WEIGHTED.findall(description):
        edges = [Edge(int(a), int(b), Decimal(w)) for a, b, w in weighted]
    elif "(i,j)" in description:
        edges = [Edge(int(a), int(b)) for a, b in PAIR.findall(description)]
    asked = tuple(int(one) for one in re.findall(r"node (\d+)", question))
    named = [int(one) for one in LAST.findall(description)]
    last = max([*named, *asked, *(node for edge in edges for node in edge[:2])])
    graph = Graph(last + 1, tuple(edges), task in ("flow", "topology"))
    return Problem(TASKS[task], graph, asked, tuple(map(str, range(last + 1))))


def told_by(task: str, answer: str) -> Content:
    """What an answer of theirs says."""
    said = [one for one in SAID.findall(re.sub(r"from node \d+ to node \d+", "", answer))]
    if task in ("connectivity", "cycle"):
        is_no = re.search(r"\bno\b", answer, re.IGNORECASE)
        return Content("no" if is_no else "yes")
    if task == "flow":
        return Content(value=Decimal(said[0]))
    if not said:
        return Content()
    value = Decimal(said[1]) if task == "shortest_path" else None
    return Content(nodes=tuple(said[0].split(",")), value=value)
