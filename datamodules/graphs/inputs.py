"""Problems that a user asks: in words of a known form, or of a graph file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import FIELD, Problem
from datamodules.graphs.task import find_task, task_names
from datamodules.graphs.wording.forms import find_wording
from datamodules.records.roots import missing

GRAPHML = ".graphml"
EDGE_LISTS = (".edgelist", ".edges", ".txt", ".csv", ".tsv")


@dataclass(frozen=True)
class GraphFile:
    """A question about the graph of a file.

    Attributes:
        path: GraphML, or an edge list: two names of nodes a line, and a weight where edges have
            some, apart by blanks, commas or tabs; lines that begin with `#` are skipped. A name
            alone is a node without edges.
        task: What is asked.
        asked: Names of the nodes that are asked about.
        form: How the graph is told.
        weight: Name of the edges' weight in GraphML.
    """

    path: str
    task: str = "connectivity"
    asked: list[str] = field(default_factory=list)
    form: str = "incident"
    weight: str = "weight"

    def question(self) -> dict[str, str]:
        """The fields of the question.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It holds no simple graph, or not the one that the task needs; names the
                file and the line.
        """
        task = find_task(self.task)
        names, edges = self.read(task.is_weighted)
        number = {name: node for node, name in enumerate(names)}
        if unknown := [name for name in self.asked if name not in number]:
            raise ValueError(f"{self.path}: no node {', '.join(unknown)}; there are {few(names)}")
        try:
            graph = Graph(
                len(names),
                tuple(Edge(number[a], number[b], w) for a, b, w in edges),
                task.is_directed,
            )
            problem = Problem(self.task, graph, tuple(number[name] for name in self.asked), names)
            task.check(problem)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        wording = find_wording(task.wordings, self.form, self.task)
        return {"question": wording.write(problem), FIELD: problem.to_json()}

    def read(
        self, is_weighted: bool
    ) -> tuple[tuple[str, ...], list[tuple[str, str, Decimal | None]]]:
        """Names of the nodes, and edges between them."""
        path = Path(self.path)
        if not path.is_file():
            raise missing(self.path)
        if path.suffix == GRAPHML:
            return self._graphml(path, is_weighted)
        if path.suffix not in EDGE_LISTS:
            raise ValueError(f"{path} ends in none of {', '.join((GRAPHML, *EDGE_LISTS))}")
        return self._edge_list(path, is_weighted)

    def _graphml(self, path: Path, is_weighted: bool) -> Any:
        import networkx as nx

        try:
            known = nx.read_graphml(path)
        except Exception as error:  # of the parser, of several kinds
            raise ValueError(f"{path} is no GraphML: {error}") from error
        edges = [
            (
                str(a),
                str(b),
                self._weight(data.get(self.weight), is_weighted, f"{path}: edge {a} {b}"),
            )
            for a, b, data in known.edges(data=True)
        ]
        return in_order(map(str, known.nodes)), edges

    def _edge_list(self, path: Path, is_weighted: bool) -> Any:
        names, edges = dict[str, None](), []
        for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            parts = text.replace(",", " ").split()
            if not parts or parts[0].startswith("#"):
                continue
            if len(parts) > 3:
                raise ValueError(
                    f"{path}:{line}: two nodes and a weight at most, got {text[:60]!r}"
                )
            names |= dict.fromkeys(parts[:2])
            if len(parts) > 1:
                weight = self._weight(
                    parts[2] if parts[2:] else None, is_weighted, f"{path}:{line}"
                )
                edges.append((parts[0], parts[1], weight))
        if not names:
            raise ValueError(f"{path} has no node")
        return in_order(names), edges

    def _weight(self, given: object, is_weighted: bool, where: str) -> Decimal | None:
        if not is_weighted:
            return None
        try:
            return Decimal(str(given))
        except InvalidOperation:
            raise ValueError(f"{where}: {self.task} needs a weight, got {given!r}") from None


def in_order(names: Any) -> tuple[str, ...]:
    """Names in rising order if they are numbers, else as they come."""
    every = tuple(dict.fromkeys(names))
    return tuple(sorted(every, key=int)) if all(one.isdigit() for one in every) else every


def few(names: tuple[str, ...]) -> str:
    """Some of the names, for messages."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def question_of(text: str) -> Mapping[str, str]:
    """The fields of a question in words.

    They hold the problem where the text is of a known form of some task; other texts are asked
    without a verdict.
    """
    for name in task_names():
        task = find_task(name)
        for wording in task.wordings.values():
            try:
                problem = wording.read(text, name, task.is_directed)
                task.check(problem)
            except ValueError:
                continue
            return {"question": text, FIELD: problem.to_json()}
    return {"question": text}
