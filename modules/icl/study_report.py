"""What a study of selected documents amounts to: means over orders of training, as a table."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from engine.disk.whole import whole

Cells = list[tuple[dict[str, str], dict[str, Path]]]
"""Choices of each finished cell, and the run folder of each of its commands."""


class StudyReport:
    """Writes `study.csv` into the folder of a grid, and shows it.

    Args:
        axis: What the rows are; quantities are averaged over all other axes.
        command: The command whose quantities are read.
    """

    def __init__(self, axis: str = "trained_on", command: str = "test"):
        self.axis = axis
        self.command = command

    def write(self, folder: Path, cells: Cells) -> Iterator[str]:
        """Write the table; yields its lines.

        Args:
            folder: Of the grid.
            cells: As `Cells` says; those without the command are left out.
        """
        found: dict[str, list[dict[str, float]]] = {}
        for choices, runs in cells:
            if self.command in runs:
                found.setdefault(choices[self.axis], []).append(quantities(runs[self.command]))
        rows = [row for name, runs in found.items() for row in summary(self.axis, name, runs)]
        with whole(folder / "study.csv") as draft, draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, [self.axis, "quantity", "mean", "deviation", "runs"])
            writer.writeheader()
            writer.writerows(rows)
        for row in rows:
            spread = "" if row["deviation"] == "" else f" +- {row['deviation']:.4f}"
            yield f"{row[self.axis]:12}  {row['quantity']:38}  {row['mean']:.4f}{spread}"
        yield f"table        {folder / 'study.csv'}"


def quantities(run: Path) -> dict[str, float]:
    """The last value of everything that a run logged."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {name: value for row in rows for name, value in row.items() if value}
    return {name: float(value) for name, value in logged.items() if name.startswith("test/")}


def summary(
    axis: str, name: str, runs: Sequence[Mapping[str, float]]
) -> Iterator[dict[str, object]]:
    """Mean and standard deviation of each quantity."""
    for quantity in runs[0]:
        values = [one[quantity] for one in runs]
        spread = stdev(values) if len(values) > 1 else ""
        row = {axis: name, "quantity": quantity, "mean": fmean(values), "deviation": spread}
        yield row | {"runs": len(values)}
