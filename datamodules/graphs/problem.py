"""A problem: a graph, the nodes that are asked about, and what the text calls the nodes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datamodules.graphs.graph import Graph, from_rows

FIELD = "problem"
"""The field of a question that holds the problem as JSON."""


@dataclass(frozen=True)
class Problem:
    """What a task asks of a graph.

    Attributes:
        task: Name of the task, a module of `datamodules.graphs.tasks`.
        graph: The graph.
        asked: Nodes that the question names, such as the ends of a path.
        names: What the text calls each node.

    Raises:
        ValueError: A node is asked for that does not exist, or the names do not fit.
    """

    task: str
    graph: Graph
    asked: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check nodes and names."""
        num = self.graph.num_nodes
        if any(not 0 <= node < num for node in self.asked):
            raise ValueError(f"{self.asked} are asked for, but the nodes are 0 to {num - 1}")
        if len(set(self.names)) != num:
            raise ValueError(f"{len(set(self.names))} different names for {num} nodes")

    def to_json(self) -> str:
        """As a text, for a field of a question or a column."""
        graph = {"nodes": self.graph.num_nodes, "edges": [*self.graph.rows()]}
        fields: dict[str, Any] = {"task": self.task, "directed": self.graph.is_directed, **graph}
        fields |= {"asked": list(self.asked), "names": list(self.names)}
        return json.dumps(fields)


def from_json(text: str) -> Problem:
    """The problem of `Problem.to_json`.

    Raises:
        ValueError: The text is no problem.
    """
    try:
        fields = json.loads(text)
        graph = from_rows(fields["nodes"], fields["edges"], fields["directed"])
        return Problem(fields["task"], graph, tuple(fields["asked"]), tuple(fields["names"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"no graph problem: {error!r} in {text[:80]}") from error


def problem_of(question: Mapping[str, str]) -> Problem:
    """The problem that a question asks.

    Raises:
        ValueError: The question holds none; names its fields.
    """
    if FIELD not in question:
        fields = ", ".join(question) or "none"
        raise ValueError(f"a question of graphs has a field {FIELD}, this one has {fields}")
    return from_json(question[FIELD])
