"""Grids of runs: every combination of some choices, each trained and tested once.

`python cli.py grid --config configs/detector/matrix.yaml` runs what is not finished yet, one cell
after the other; after a kill the same command continues where it stopped. Nothing is known here of
what is trained: a choice is a set of options of the command line, and a report, if one is named,
reads the results of the cells.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from shlex import quote
from typing import Protocol, runtime_checkable

from jsonargparse import Namespace

from engine.config.parser import PlainParser, refuse
from engine.study.child import EntryPoint
from engine.study.compare.comparison import SideBySide
from engine.study.compare.runs import Run
from engine.study.launch import Failure, Say, finish, stoppable
from engine.study.trial import Cell, Choices, Command, Options, matches

Finished = list[tuple[dict[str, str], dict[str, Path]]]
"""Choices of each cell, and the run folder of each of its commands."""


@runtime_checkable
class GridReport(Protocol):
    """Reads the results of the cells of a grid."""

    def write(
        self, folder: Path, cells: list[tuple[dict[str, str], dict[str, Path]]]
    ) -> Iterator[str]:
        """Write what they amount to.

        Args:
            folder: Of the grid.
            cells: Choices of each finished cell, and the run folder of each of its commands.

        Yields:
            Lines to show.
        """


class Grid:
    """All combinations of the choices of some axes.

    Args:
        folder: Where the cells' folders go.
        axes: Options of each choice of each axis; later axes win. Under `configs` a choice names
            config files of its own.
        commands: What is run in each cell, by name, in this order.
        configs: Config files that every cell starts from, as after `--config`.
        options: What every cell sets, under its choices.
        skip: Combinations that are left out.
        report: Reads the results of the cells, when all have been run.
        in_process: Whether all run in this process, which saves the imports of each; else each
            command has a process of its own.

    Raises:
        ValueError: There is no axis, no choice or no command, a config file is missing, a name
            cannot be a folder, or something that is left out does not exist.
    """

    def __init__(
        self,
        folder: str,
        axes: dict[str, dict[str, Options]],
        commands: dict[str, Command],
        configs: list[str] | None = None,
        options: Options | None = None,
        skip: list[Choices] | None = None,
        report: GridReport | None = None,
        in_process: bool = False,
    ):
        self.folder = Path(folder)
        self.axes = axes
        self.commands = commands
        self.configs = configs or []
        self.options = options or Options()
        self.skip = skip or []
        self.report = report
        self.in_process = in_process
        check(self)

    def cells(self) -> list[Cell]:
        """Every combination that is not left out; the last axis turns fastest."""
        named = [dict(zip(self.axes, names, strict=True)) for names in product(*self.axes.values())]
        return [self.cell(one) for one in named if not any(matches(one, s) for s in self.skip)]

    def cell(self, choices: dict[str, str]) -> Cell:
        """The run of one combination."""
        options, configs = Options(self.options), list(self.configs)
        for axis, choice in choices.items():
            own = dict(self.axes[axis][choice])
            configs += own.pop("configs", [])
            options.update(own)
        commands = {
            name: command
            for name, command in self.commands.items()
            if command.only is None or any(matches(choices, one) for one in command.only)
        }
        return Cell(choices, self.folder, configs, options, commands)

    def run(
        self, entry_point: EntryPoint | None, say: Say, only: list[str] | None = None
    ) -> list[Failure]:
        """Run every cell that is not finished, then compare those that are, and report on them.

        Args:
            entry_point: What runs a command line in this process.
            say: Shows progress.
            only: Names of the cells that are run, and no report; all where None.

        Raises:
            ValueError: There is no cell of a name, or a cell was begun under another config.
        """
        cells = chosen(self.cells(), only)
        for cell in cells:
            cell.prepare()
        here, failures = entry_point if self.in_process else None, []
        with stoppable():
            for number, cell in enumerate(cells, start=1):
                failure = finish(cell, here, say, f"{number}/{len(cells)}")
                failures += [failure] if failure else []
        done = self.finished()
        if only is None and done:
            self.compare(say)
        if self.report is not None and only is None and done:
            for line in self.report.write(self.folder, done):
                say(line)
        return failures

    def compare(self, say: Say) -> None:
        """Show the cells side by side, and write their tables and curves."""
        runs = [Run(cell.name, [*cell.outcome.values()]) for cell in self.cells() if cell.outcome]
        for line in SideBySide(runs, self.folder).write():
            say(line)

    def finished(self) -> Finished:
        """Choices of each cell that has got anywhere, and the run folders of finished commands."""
        return [(cell.choices, cell.outcome) for cell in self.cells() if cell.outcome]


def chosen(cells: list[Cell], only: list[str] | None) -> list[Cell]:
    """The cells of some names."""
    known = {cell.name: cell for cell in cells}
    for name in only or ():
        if name not in known:
            raise ValueError(f"there is no cell {name}; there are {', '.join(known)}")
    return cells if only is None else [known[name] for name in only]


def check(grid: Grid) -> None:
    """Refuse what describes no grid; see `Grid`."""
    for what, given in (("axes", grid.axes), ("commands", grid.commands)):
        if not given:
            raise ValueError(f"{what} is empty: a grid needs at least one")
    for name in [name for choices in grid.axes.values() for name in choices] + [*grid.commands]:
        if not name or name.startswith(".") or "/" in name or name.isdigit():
            raise ValueError(f"{name!r} cannot be the name of a folder next to numbered runs")
    for axis, choices in grid.axes.items():
        if not choices:
            raise ValueError(f"axis {axis} has no choices")
    only = [one for command in grid.commands.values() for one in command.only or ()]
    for axis, named in [pair for choices in (*grid.skip, *only) for pair in choices.items()]:
        for choice in named if isinstance(named, list) else [named]:
            if choice not in grid.axes.get(axis, {}):
                raise ValueError(f"skip, only: there is no choice {choice} of an axis {axis}")
    for path in {path for cell in grid.cells() for path in cell.configs}:
        if not Path(path).is_file():
            raise ValueError(f"configs: there is no file {path}")


def read_grid(args: list[str]) -> tuple[Grid, Namespace]:
    """The grid that a command line describes, and all that it says."""
    parser = PlainParser(prog="cli.py grid", description="Run every combination of some choices.")
    parser.add_argument("--config", action="config", help="file with the arguments below")
    parser.add_argument("--list", action="store_true", help="show the commands and run nothing")
    parser.add_argument("--cell", type=list[str] | None, help="run these alone, without a report")
    named = parser.add_class_arguments(Grid)
    given = parser.instantiate_classes(parser.parse_args(args))
    return Grid(**{name: given[name] for name in named}), given


def main(args: list[str], entry_point: EntryPoint | None = None) -> None:
    """The command `grid`: run what is not finished; exit code 1 where a cell failed.

    Args:
        args: What follows it on the command line.
        entry_point: What runs a command line in this process; without one, each cell gets its own.
    """
    try:
        grid, given = read_grid(args)
        if given.list:
            return show(grid, [one for one in args if one != "--list"])
        failures = grid.run(entry_point, say, given.cell)
    except (OSError, ValueError) as error:
        refuse(str(error))
    if failures:
        raise SystemExit("\n".join([f"{len(failures)} failed:", *map(str, failures)]))


def show(grid: Grid, args: list[str]) -> None:
    """Write the configs of all cells and print the commands that a cluster may run instead.

    Each continues where it was stopped, and writes the receipts that mark the cell as finished.

    Args:
        grid: The grid.
        args: The command line that describes it.
    """
    for cell in grid.cells():
        cell.prepare()
        done = "done" if cell.is_finished else "    "
        print(done, "python", "cli.py", "grid", *map(quote, args), quote(f"--cell+={cell.name}"))


def say(line: str) -> None:
    """Show a line of progress."""
    print(line, file=sys.stderr, flush=True)
