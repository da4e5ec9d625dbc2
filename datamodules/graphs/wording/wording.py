"""Templates that tell a graph and ask about it; each can be read back, exactly.

A wording has either one line an edge, or one line a node with all its neighbours:

    line: "({a}, {b})"                                 # an edge, `{weight}` where it has one
    line: "Node {node} is connected to {neighbours}."  # a node; `neighbour` tells each of them
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.wording.names import Naming

FIELD = re.compile(r"\{(\w+)\}")
PATTERNS = {"weight": r"\d+(?:\.\d+)?", "neighbours": r".+?", "nodes": r".+?", "last": r"\w+"}
"""What a field stands for, as a regular expression; every other one is the name of a node."""
NAME = r"\w+"
TOLD = {"a", "b", "weight", "node", "neighbours", "other", "nodes", "last", "s", "t"}
"""All fields."""


@dataclass(frozen=True)
class Wording:
    """How a task is told; see the top of this file.

    Attributes:
        introduction: Stands first; may name all `{nodes}`, or the `{last}` one.
        line: An edge or a node.
        question: Stands last; `{s}` and `{t}` are the nodes that are asked for.
        neighbour: One of the `{neighbours}` of a line: the `{other}` node, and its `{weight}`.
        between_neighbours: Between two of them.
        between_lines: Between two lines.
        naming: What nodes are called.

    Raises:
        ValueError: A field is unknown or missing.
    """

    introduction: str
    line: str
    question: str
    neighbour: str = "{other}"
    between_neighbours: str = ", "
    between_lines: str = "\n"
    naming: Naming = "numbers"

    def __post_init__(self) -> None:
        """Check the fields."""
        texts = self.introduction, self.line, self.question, self.neighbour
        fields = {name for text in texts for name in FIELD.findall(text)}
        if unknown := fields - TOLD:
            raise ValueError(f"a wording has fields {', '.join(sorted(TOLD))}, not {unknown}")
        of_line = set(FIELD.findall(self.line))
        if not of_line >= {"a", "b"} and not of_line >= {"node", "neighbours"}:
            raise ValueError(f"a line tells a and b, or node and neighbours: {self.line!r}")
        if self.between_lines in self.line or self.between_neighbours in self.neighbour:
            raise ValueError(f"{self.line!r} contains what stands between lines or neighbours")

    @property
    def is_by_node(self) -> bool:
        """Whether a line tells a node with its neighbours."""
        return "{neighbours}" in self.line

    # Write

    def write(self, problem: Problem) -> str:
        """The problem in words."""
        names = problem.names
        fields = {"nodes": ", ".join(names), "last": names[-1]}
        lines = self.between_lines.join(self.lines(problem))
        parts = [self.introduction.format(**fields), lines, self.query(problem)]
        return "\n".join(part for part in parts if part)

    def query(self, problem: Problem) -> str:
        """The question alone, without the graph."""
        asked = (problem.names[node] for node in problem.asked)
        return self.question.format(**dict(zip("st", asked, strict=False)))

    def lines(self, problem: Problem) -> Iterator[str]:
        """The lines of a graph; nodes that no edge leaves have none."""
        names, graph = problem.names, problem.graph
        if not self.is_by_node:
            for a, b, weight in graph.edges:
                yield self.line.format(a=names[a], b=names[b], weight=weight)
            return
        for node in node_order(graph):
            near = [
                self.neighbour.format(other=names[b], weight=graph.weight_of[node, b])
                for b in graph.after[node]
            ]
            if near:
                neighbours = self.between_neighbours.join(near)
                yield self.line.format(node=names[node], neighbours=neighbours)

    # Read

    def read(self, text: str, task: str, is_directed: bool) -> Problem:
        """The problem that a text of this wording tells.

        Nodes that stand in no edge are known only where the introduction or the question names
        them, or where nodes are numbered.

        Raises:
            ValueError: The text is not of this wording; quotes what does not fit.
        """
        head, body, asked = self._parts(text.strip())
        edges = list(self._edges(body))
        named = [name for a, b, _ in edges for name in (a, b)] + list(asked)
        names = self._names(head, named)
        number = {name: node for node, name in enumerate(names)}
        graph = Graph(len(names), unique(edges, number, is_directed), is_directed)
        return Problem(task, graph, tuple(number[name] for name in asked), names)

    def _parts(self, text: str) -> tuple[dict[str, str], str, list[str]]:
        head = self._pattern(self.introduction).match(text)
        tail = re.search(self._pattern(self.question).pattern + r"\Z", text)
        if head is None or tail is None:
            missing = self.introduction if head is None else self.question
            raise ValueError(f"the text has no such part: {missing!r}")
        asked = [tail[name] for name in "st" if name in tail.groupdict()]
        return head.groupdict(), text[head.end() : tail.start()].strip("\n"), asked

    def _edges(self, body: str) -> Iterator[tuple[str, str, str | None]]:
        for line in body.split(self.between_lines) if body else ():
            match = self._line.fullmatch(line)
            if match is None:
                raise ValueError(f"no line of this wording: {line[:80]!r}")
            yield from self._edges_of(match)

    def _edges_of(self, match: re.Match[str]) -> Iterator[tuple[str, str, str | None]]:
        found = match.groupdict()
        if not self.is_by_node:
            yield found["a"], found["b"], found.get("weight")
            return
        for text in found["neighbours"].split(self.between_neighbours):
            near = self._neighbour.fullmatch(text)
            if near is None:
                raise ValueError(f"no neighbour of this wording: {text[:80]!r}")
            yield found["node"], near["other"], near.groupdict().get("weight")

    def _names(self, head: dict[str, str], named: list[str]) -> tuple[str, ...]:
        if "nodes" in head:
            return tuple(head["nodes"].split(", "))
        if self.naming == "numbers":
            last = max([int(head.get("last", 0)), *map(int, named)])
            return tuple(map(str, range(last + 1)))
        return tuple(sorted(set(named), key=lambda name: (len(name), name)))

    @cached_property
    def _line(self) -> re.Pattern[str]:
        return self._pattern(self.line)

    @cached_property
    def _neighbour(self) -> re.Pattern[str]:
        return self._pattern(self.neighbour)

    def _pattern(self, template: str) -> re.Pattern[str]:
        """A template as a regular expression, with a group for each field."""
        parts, seen = FIELD.split(template), set[str]()
        pattern = ""
        for index, part in enumerate(parts):
            if index % 2 == 0:
                pattern += re.escape(part)
            elif part in seen:
                pattern += f"(?P={part})"
            else:
                seen.add(part)
                pattern += f"(?P<{part}>{PATTERNS.get(part, NAME)})"
        return re.compile(pattern)


def node_order(graph: Graph) -> list[int]:
    """Nodes in rising order if the edges are, else in the order in which edges first name them."""
    if list(graph.edges) == sorted(graph.edges, key=lambda edge: edge[:2]):
        return list(range(graph.num_nodes))
    return list(dict.fromkeys(node for edge in graph.edges for node in edge[:2]))


def unique(
    edges: list[tuple[str, str, str | None]], number: dict[str, int], is_directed: bool
) -> tuple[Edge, ...]:
    """Edges with numbers; undirected ones that are told from both ends come once.

    Raises:
        ValueError: Both ends tell different weights.
    """
    found: dict[tuple[int, int], Edge] = {}
    for a, b, weight in edges:
        edge = Edge(number[a], number[b], None if weight is None else Decimal(weight))
        ends = edge[:2] if is_directed else (min(edge[:2]), max(edge[:2]))
        if found.setdefault(ends, edge).weight != edge.weight:
            raise ValueError(f"two weights for the edge between {a} and {b}")
    return tuple(found.values())
