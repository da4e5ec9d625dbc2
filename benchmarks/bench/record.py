"""What a benchmark leaves behind: a table, a file and one line of JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.disk.strict_json import dumps
from engine.disk.whole import whole

RESULTS = Path(__file__).parents[1] / "results"
"""Where full results are kept."""


@dataclass(frozen=True)
class Row:
    """One quantity and what it should be.

    Attributes:
        row: Number of the goal that it belongs to.
        what: The quantity, with its unit where it has one.
        value: What was measured.
        goal: What to reach.
        peer: The same quantity of what others would use, where there is one.
        limit: The best that any program could reach, where that is known.
        at_least: Whether the value should be at least the goal, rather than at most.
        paper: What the paper found, where the row is one of a claim.
        counts: Whether this run may say that the goal is met; a quick run may not.
        void: Whether the control of the timing behind the value failed.
    """

    row: int
    what: str
    value: float
    goal: float
    peer: float | None = None
    limit: float | None = None
    at_least: bool = False
    paper: str | None = None
    counts: bool = True
    void: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where this run cannot say."""
        if self.void or not self.counts:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_json(self) -> dict[str, Any]:
        """The row as it stands in the last line."""
        bound = "limit" if self.paper is None else "paper"
        names = ("row", "what", "value", "peer", bound, "goal", "met")
        fields = {name: rounded(getattr(self, name)) for name in names}
        return fields | ({"void": True} if self.void else {})


def rounded(value: Any) -> Any:
    """Four digits of a float are enough; everything else as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def last_line(name: str, rows: Sequence[Row]) -> str:
    """The line of JSON that ends every benchmark."""
    line: dict[str, Any] = {"name": name, "rows": [row.as_json() for row in rows]}
    if any(row.void for row in rows):
        line |= {"met": None, "void": True}
    return dumps(line)


def table(rows: Sequence[Row]) -> str:
    """The rows as people read them."""
    head = ("row", "what", "value", "peer", "limit", "goal", "met")
    body = [head, *(cells(row) for row in rows)]
    width = [max(len(line[i]) for line in body) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(size) for cell, size in zip(line, width, strict=True)).rstrip()
        for line in body
    )


def cells(row: Row) -> tuple[str, ...]:
    """The words of one line of the table."""
    verdict = "void" if row.void else {True: "yes", False: "NO", None: "-"}[row.met]
    numbers = [
        "-" if number is None else f"{number:.4g}" for number in (row.value, row.peer, row.limit)
    ]
    goal = f"{'>=' if row.at_least else '<='} {row.goal:g}"
    return (str(row.row), row.what, *numbers, goal, verdict)


def write(name: str, rows: Sequence[Row], conditions: dict[str, Any], details: Any) -> Path:
    """Keep a full result: rows, the machine it was measured on, and what lies behind the rows."""
    path = RESULTS / f"{name.replace('.', '_')}.json"
    content = {
        "name": name,
        "rows": [row.as_json() for row in rows],
        "conditions": conditions,
        "details": details,
    }
    with whole(path) as draft:
        draft.write_text(dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
