"""A matrix as CSV, Markdown and image."""

import csv
from collections.abc import Sequence
from pathlib import Path

from modules.metrics.bootstrap import Interval
from modules.transfer.heat_map import heat_map
from modules.transfer.matrix import Matrix


def write_csv(matrix: Matrix, path: Path) -> None:
    """Write the values, one row per line, and in `<name>_intervals` one cell per line."""
    columns = matrix.tested_on
    rows = [
        [name, *(f"{value:.6f}" for value in matrix.values[d])]
        for d, name in enumerate(matrix.trained_on)
    ]
    write_rows(path, [["trained_on", *columns], *rows])
    cells = [(d, g, matrix.interval(d, g)) for d in matrix.trained_on for g in columns]
    head = ["trained_on", "tested_on", "value", "low", "high"]
    held = [[d, g, f"{i.value:.6f}", f"{i.low:.6f}", f"{i.high:.6f}"] for d, g, i in cells]
    write_rows(path.with_stem(f"{path.stem}_intervals"), [head, *held])


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write lines of a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def markdown(matrix: Matrix, corner: str = "trained on", points: bool = False) -> str:
    """A Markdown table, each cell with its interval.

    Args:
        matrix: The numbers.
        corner: Head of the column of row names.
        points: Whether to show signed percentage points, for differences.
    """
    head = [corner, *matrix.tested_on]
    rows = [
        [name, *(cell(matrix.interval(name, column), points) for column in matrix.tested_on)]
        for name in matrix.trained_on
    ]
    return lines([head, ["---"] * len(head), *rows])


def cell(interval: Interval, points: bool) -> str:
    """A cell of a table."""
    return interval.points() if points else str(interval)


def lines(rows: Sequence[Sequence[str]]) -> str:
    """Rows of a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_heat_map(matrix: Matrix, path: Path, title: str, low: float, high: float) -> None:
    """Write the values as a heat map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = matrix.trained_on, matrix.tested_on
    image = heat_map(matrix.values, *names, title, low, high)
    image.quantize(64).save(path, optimize=True)  # a quarter of the bytes, no visible difference
