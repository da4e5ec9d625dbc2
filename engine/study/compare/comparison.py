"""Runs side by side, as a table, as CSV and as curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.study import results
from engine.study.compare import curves_plot
from engine.study.compare.runs import Run, differing, is_lower_better
from engine.study.results import Curve, short_names, short_value
from engine.study.tables import lined_up, write_csv

SHOWN = 6
"""Quantities in the table of the terminal; the file has all."""
WIDEST = 40
"""Characters of a setting in that table."""
EVALUATED = ("test/", "validate/")
"""Quantities that are shown before others."""


@dataclass(frozen=True)
class SideBySide:
    """Some runs side by side.

    Attributes:
        runs: The runs.
        folder: Where its files go.
    """

    runs: Sequence[Run]
    folder: Path

    @cached_property
    def curves(self) -> dict[str, dict[str, Curve]]:
        """What each run logged."""
        return {run.name: run.curves for run in self.runs}

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each run the settings that are not the same in all."""
        whole = {run.name: run.settings for run in self.runs}
        keys = differing(whole)
        return {name: {key: one[key] for key in keys if key in one} for name, one in whole.items()}

    @cached_property
    def quantities(self) -> list[str]:
        """All that any run logged: of tests, of validations, then the rest."""
        names = sorted({name for one in self.curves.values() for name in one})
        ranks = {name: [name.startswith(stage) for stage in EVALUATED] for name in names}
        return sorted(names, key=lambda name: ranks[name], reverse=True)

    def write(self) -> Iterator[str]:
        """Write the table as CSV and the curves as CSV and PNG.

        Yields:
            The table for a terminal, and where the files are.
        """
        write_csv(self.folder / "comparison.csv", [self.row(run) for run in self.runs])
        write_csv(self.folder / "curves.csv", self.points(), ["run", "quantity", "step", "value"])
        yield from lined_up(*self.table())
        written = "comparison.csv, curves.csv"
        if curves_plot.draw(self.folder / "curves.png", self.curves, self.quantities):
            written += ", curves.png"
        yield f"{self.folder}: {written}"

    def row(self, run: Run) -> dict[str, Any]:
        """All of a run: the settings that differ, and the last and best value of each quantity."""
        row: dict[str, Any] = {"run": run.name, "state": run.state, **self.settings[run.name]}
        for name, curve in self.curves[run.name].items():
            best = results.best(curve, is_lower_better(name))
            row |= {name: results.last(curve), f"best {name}": best, f"steps {name}": max(curve)}
        return row

    def points(self) -> list[dict[str, Any]]:
        """Every value of every quantity of every run."""
        return [
            {"run": run, "quantity": name, "step": step, "value": value}
            for run, found in self.curves.items()
            for name, curve in found.items()
            for step, value in curve.items()
        ]

    def table(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Rows and columns for a terminal: few quantities, each its last value and its best."""
        first = next(iter(self.settings.values()), {})
        keys = [key for key in first if self.is_shared(key)]
        names = short_names(keys)
        rows = []
        for run in self.runs:
            row: dict[str, Any] = {"run": run.name}
            row |= {names[key]: plain(key, self.settings[run.name][key]) for key in keys}
            row |= {name: self.cell(run, name) for name in self.shown}
            rows.append(row | ({} if run.state == "finished" else {"state": run.state}))
        columns = ["run", *names.values(), *self.shown]
        return rows, columns + (["state"] if any("state" in row for row in rows) else [])

    def is_shared(self, key: str) -> bool:
        """Whether all runs have a setting, none of them one too long for the table."""
        values = [str(one[key]) for one in self.settings.values() if key in one]
        return len(values) == len(self.runs) and max(map(len, values)) <= WIDEST

    @cached_property
    def shown(self) -> list[str]:
        """Quantities of the terminal's table."""
        evaluated = [name for name in self.quantities if name.startswith(EVALUATED)]
        trained = [name for name in self.quantities if name.startswith("train/")]
        return (evaluated or trained or self.quantities)[:SHOWN]

    def cell(self, run: Run, name: str) -> str:
        """Last value of a quantity, and the best one where that is another."""
        curve = self.curves[run.name].get(name)
        if not curve:
            return ""
        last, best = results.last(curve), results.best(curve, is_lower_better(name))
        return f"{last:.4g}" if last == best else f"{last:.4g} (best {best:.4g})"


def plain(key: str, value: Any) -> Any:
    """A setting as it is shown; a number stays one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number or value is None else str(short_value(key, value))
