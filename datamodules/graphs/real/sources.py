"""Real questions by file format: StrategyQA, ExplaGraphs, Knowledge Crosswords and ProScript.

Prompts are in our own words. Names of columns are options where a set has been released in more
than one form.
"""

import csv
import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from datamodules.graphs.real.answers import FIELD
from datamodules.questions.source import Question, QuestionSource
from datamodules.records.roots import missing


class RealQuestions(QuestionSource):
    """Questions of a file.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A row lacks a column or holds something else; names the row.
    """

    kind: str

    def __init__(self, path: str):
        self.path = path

    @property
    @override
    def name(self) -> str:
        return f"{self.kind}:{Path(self.path).name}"

    @override
    def questions(self) -> Iterator[Question]:
        if not Path(self.path).is_file():
            raise missing(self.path)
        for number, row in enumerate(self.rows(), 1):
            try:
                text, wanted, reference = self.read(row)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise ValueError(f"{self.path}, row {number}: {error!r}") from error
            fields = {"question": text, FIELD: json.dumps(wanted)}
            name = f"{self.name}:{number}"
            yield Question(name, name, fields, [reference])

    def rows(self) -> Iterator[Any]:
        """The rows of a file of JSON lines."""
        with Path(self.path).open(encoding="utf-8-sig") as lines:
            yield from (json.loads(line) for line in lines if line.strip())

    @abstractmethod
    def read(self, row: Any) -> tuple[str, dict[str, Any], str]:
        """The prompt, what the checker needs, and the right answer."""


class StrategyQA(RealQuestions):
    """A JSON list of rows with `question` and `answer`, true or false."""

    kind = "strategy_qa"

    @override
    def rows(self) -> Iterator[Any]:
        yield from json.loads(Path(self.path).read_text(encoding="utf-8-sig"))

    @override
    def read(self, row: Any) -> tuple[str, dict[str, Any], str]:
        if not isinstance(row["answer"], bool):
            raise ValueError(f"answer must be true or false, got {row['answer']!r}")
        said = "yes" if row["answer"] else "no"
        return f"{row['question']}\nSay yes or no.", {"kind": "yes_no", "answer": said}, said


class ExplaGraphs(RealQuestions):
    """Tab-separated rows without a header: belief, argument, stance, graph."""

    kind = "expla_graphs"

    @override
    def rows(self) -> Iterator[Any]:
        with Path(self.path).open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)

    @override
    def read(self, row: Any) -> tuple[str, dict[str, Any], str]:
        belief, argument, stance = row[:3]
        if stance not in ("support", "counter"):
            raise ValueError(f"stance must be support or counter, got {stance!r}")
        text = (
            f"Belief: {belief}\nArgument: {argument}\n"
            "Does the argument support or counter the belief? Say support or counter."
        )
        return text, {"kind": "stance", "answer": stance}, stance


class KnowledgeCrosswords(RealQuestions):
    """JSON lines of a question, four options and the right one.

    Args:
        path: The file.
        question: Column of the question.
        options: Column of the options, a list of texts.
        answer: Column of the right one: its letter, or its number from 0.
    """

    kind = "knowledge_crosswords"

    def __init__(
        self,
        path: str,
        question: str = "question",
        options: str = "options",
        answer: str = "answer",
    ):
        super().__init__(path)
        self.columns = question, options, answer

    @override
    def read(self, row: Any) -> tuple[str, dict[str, Any], str]:
        asked, options, answer = (row[column] for column in self.columns)
        letters = "ABCD"[: len(options)]
        letter = letters[answer] if isinstance(answer, int) else str(answer)
        if len(options) != 4 or letter not in letters:
            raise ValueError(f"four options and one of their letters, got {options} and {answer}")
        listed = "\n".join(f"{a}. {text}" for a, text in zip(letters, options, strict=True))
        text = f"{asked}\n{listed}\nWhich option meets all conditions? Say its letter."
        return text, {"kind": "letter", "answer": letter}, letter


class ProScript(RealQuestions):
    """JSON lines of a scenario, its events, and edges between them.

    Args:
        path: The file.
        scenario: Column of the scenario.
        events: Column of the events, a list of texts.
        edges: Column of the edges, pairs of numbers of events from 0.
    """

    kind = "pro_script"

    def __init__(
        self, path: str, scenario: str = "scenario", events: str = "events", edges: str = "edges"
    ):
        super().__init__(path)
        self.columns = scenario, events, edges

    @override
    def read(self, row: Any) -> tuple[str, dict[str, Any], str]:
        scenario, events, pairs = (row[column] for column in self.columns)
        edges = [(int(a), int(b)) for a, b in pairs]
        order = ordered(len(events), edges)
        steps = [f"step{number}" for number in range(len(events))]
        listed = "\n".join(f"{step}: {event}" for step, event in zip(steps, events, strict=True))
        text = f"Goal: {scenario}\n{listed}\nIn which order are the steps done? Join them by ->."
        wanted = {"kind": "order", "steps": steps, "edges": edges}
        return text, wanted, " -> ".join(steps[number] for number in order)


def ordered(num: int, edges: list[tuple[int, int]]) -> list[int]:
    """An order that respects all edges.

    Raises:
        ValueError: There is none, or an edge leaves the events.
    """
    import networkx as nx

    if any(not 0 <= end < num for edge in edges for end in edge):
        raise ValueError(f"the events are 0 to {num - 1}, got {edges}")
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(num))
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"no order respects {edges}")
    return [*nx.lexicographical_topological_sort(graph)]
