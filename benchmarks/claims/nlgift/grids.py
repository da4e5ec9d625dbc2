"""What transfers along the axes of graph problems: the grids of `configs/nlgift`.

They are run as users run them.

Finished cells have receipts and are not run again, so that a part that was stopped goes on.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench.harness import Bench
from cli import main
from engine.study.grid import Grid, read_grid

CONFIGS = Path(__file__).parents[3] / "configs" / "nlgift"
WHOLE = 4
"""Size from which all seeds, tasks and contrasts are run; below it the first seed of those here."""
SMALLER: dict[str, dict[str, list[str]]] = {
    "semantic": {"task": ["connectivity"]},
    "numerical": {"task": ["shortest_path"]},
    "structural": {"task": ["shortest_path"], "contrast": ["size", "order"]},
    "reasoning": {},
}
"""Choices of each grid at the default size; of axes that are not named, all but of seeds."""
PAPER = {
    "semantic": "33 of 48 significant, 10 of 48 strong recoveries (Llama-2-7B, ChatGPT)",
    "numerical": "of max flow 3 of 12 significant and strong",
    "structural": "strong recoveries: generator 10 of 16, transitivity 10 of 16, size 2 of 8",
    "reasoning": "8 of 24 significant, 0 of 24 strong, 9 of 24 worse than untuned",
}
"""What the paper counts (2406.15992)."""
QUICK = {
    "trainer.max_steps": 2,
    "trainer.val_check_interval": 2,
    "data.init_args.num_train": 20,
    "data.init_args.num_test": 4,
    "data.init_args.num_validate": 2,
    "model.init_args.generation.max_new_tokens": 4,
}
Table = list[dict[str, str]]


def part_of(name: str) -> Callable[[Bench], None]:
    """The part that runs a grid."""

    def part(bench: Bench) -> None:
        grid, _ = read_grid([f"--config={CONFIGS / name}.yaml"])
        with TemporaryDirectory() as folder:
            shortened(grid, name, bench, Path(folder))
            run(grid, name, bench)

    return part


def shortened(grid: Grid, name: str, bench: Bench, folder: Path) -> None:
    """Leave out what a run of this size leaves out; a quick one has a folder of its own."""
    if bench.size < WHOLE:
        kept = SMALLER[name] | {"seed": [next(iter(grid.axes["seed"]))]}
        for axis, choices in kept.items():
            grid.axes[axis] = {one: grid.axes[axis][one] for one in choices}
        grid.skip = [
            one for one in grid.skip if all(set(flat(one, a)) & {*grid.axes[a]} for a in one)
        ]
    if bench.quick:
        grid.options.update(QUICK)
        grid.folder = folder


def flat(choices: dict[str, Any], axis: str) -> list[str]:
    """The choices of an axis as a list."""
    found = choices[axis]
    return found if isinstance(found, list) else [found]


def run(grid: Grid, name: str, bench: Bench) -> None:
    """Run a grid and keep its tables."""
    failures = grid.run(main, bench.say)
    found = {group: tables(where) for group, where in groups(grid.folder / "transfer")}
    bench.details[name] = {
        "paper": PAPER[name],
        "failed": [str(one) for one in failures],
        "seeds": len(grid.axes["seed"]),
        "groups": found,
    }
    bench.row(2, f"{name}: cells that failed", len(failures), 0)
    if name == "semantic" and "connectivity" in found:
        accuracy = found["connectivity"]["accuracy"]
        own = [float(row[row["trained_on"]]) for row in accuracy if row["trained_on"] in row]
        bench.row(
            2,
            "connectivity, tested as trained, mean of four forms",
            fmean(own),
            0.95,
            at_least=True,
        )


def groups(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every folder with tables, by the choices that lead to it."""
    for file in sorted(folder.rglob("accuracy.csv")):
        yield str(file.parent.relative_to(folder)).removeprefix("."), file.parent


def tables(folder: Path) -> dict[str, Any]:
    """The tables of a group of cells."""
    names = ("accuracy", "accuracy_intervals", "pairs", "verdicts", "effort")
    found: dict[str, Any] = {name: read(folder / f"{name}.csv") for name in names}
    counts = folder / "counts.json"
    return found | {"counts": json.loads(counts.read_text()) if counts.is_file() else None}


def read(path: Path) -> Table:
    """A table; none where the file is missing."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
