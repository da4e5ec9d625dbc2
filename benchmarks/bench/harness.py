"""Runs a benchmark: `--quick`, progress, the control, the table, the file and the last line."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from time import monotonic
from typing import Any

import torch

from benchmarks.bench.conditions import conditions
from benchmarks.bench.parallel import run_parts
from benchmarks.bench.record import Row, last_line, table, write
from benchmarks.bench.timing import Measure, MedianInterval, Timings, interleave, trusted

VOID = 3
"""Exit code of a run whose control failed."""


class Bench:
    """Collects the timings and rows of one benchmark.

    Args:
        name: Module name of the benchmark.
        quick: Whether only to show that it runs.
        device: Where things are measured.
        size: How much longer than on two cores things train; of claims that take it.
        part: Which part alone is run; all where None.

    Attributes:
        max_rounds: Most rounds of a full timing, for a run whose time is limited.
        max_attempts: How often a timing is repeated whose control fails.
    """

    max_rounds: int | None = None
    max_attempts: int = 3

    def __init__(
        self,
        name: str,
        quick: bool = False,
        device: torch.device | None = None,
        size: float = 1.0,
        part: str | None = None,
    ):
        self.name = name
        self.quick = quick
        self.size = size
        self.part = part
        self.device = device or torch.device("cpu")
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {}
        self.started = monotonic()

    def wants(self, part: str) -> bool:
        """Whether a part is to be run."""
        return self.part in (None, part)

    def aim(self, cpu: float, gpu: float) -> float:
        """What to reach, which may differ between kinds of device."""
        return gpu if self.device.type == "cuda" else cpu

    def say(self, text: str) -> None:
        """Show progress, on standard error."""
        print(f"[{monotonic() - self.started:5.0f} s] {text}", file=sys.stderr, flush=True)

    def time(
        self,
        what: str,
        measures: Mapping[str, Measure],
        control: str,
        num_rounds: int = 15,
        num_quick: int = 3,
    ) -> Timings:
        """Time things against each other, again where the control fails.

        Args:
            what: Name of this comparison, for progress and file.
            measures: What to time.
            control: Which of them is timed twice a round.
            num_rounds: Rounds of a full run.
            num_quick: Rounds of a quick one.
        """
        rounds = num_quick if self.quick else min(num_rounds, self.max_rounds or num_rounds)
        discarded = rounds // 5 if rounds >= 5 else int(rounds > 1)

        def attempt() -> Timings:
            return interleave(measures, control, rounds, discarded, tell)

        def tell(done: int, total: int) -> None:
            if done == total or done % 5 == 0:
                self.say(f"{what}: round {done}/{total}")

        timings = trusted(attempt, 1 if self.quick else self.max_attempts)
        self.say(f"{what}: control {timings.control_ratio}{' VOID' if timings.is_void else ''}")
        self.details[what] = {
            "control": asdict(timings.control_ratio),
            "attempts": timings.attempts,
            "seconds": {name: asdict(timings.time(name)) for name in timings.seconds},
        }
        return timings

    def row(
        self,
        row: int,
        what: str,
        value: float | MedianInterval,
        goal: float,
        *timings: Timings,
        peer: float | MedianInterval | None = None,
        limit: float | None = None,
        at_least: bool = False,
        paper: str | None = None,
    ) -> None:
        """Add a row to the table.

        Args:
            row: Number of the goal.
            what: The quantity.
            value: What was measured.
            goal: What to reach.
            timings: Where the value comes from; void where one of them is. None for a count.
            peer: The same quantity of what others would use.
            limit: The best that any program could reach.
            at_least: Whether more is better.
            paper: What the paper found.
        """
        named = {"value": value, "peer": peer}
        spread = {key: asdict(one) for key, one in named.items() if isinstance(one, MedianInterval)}
        if spread:
            self.details.setdefault("intervals", {})[what] = spread
        void = not self.quick and any(one.is_void for one in timings)
        found = None if peer is None else middle(peer)
        counts = not self.quick
        self.rows.append(
            Row(row, what, middle(value), goal, found, limit, at_least, paper, counts, void)
        )

    def close(self) -> int:
        """Print the table, keep a full result, print the last line; the exit code."""
        void = any(row.void for row in self.rows)
        print(table(self.rows))
        if not self.quick and not void:
            where = write(self.name, self.rows, conditions(self.device), self.details)
            self.say(f"wrote {where}")
        print(last_line(self.name, self.rows), flush=True)
        return VOID if void else 0


def middle(value: float | MedianInterval) -> float:
    """The number itself, or the median of an estimate."""
    return value.median if isinstance(value, MedianInterval) else float(value)


def run(
    name: str,
    body: Callable[[Bench], None],
    device: torch.device | None = None,
    sized: bool = False,
    parts: Sequence[str] = (),
    apart: bool = False,
) -> None:
    """The main of every benchmark: parse the command line, measure, report, exit.

    Args:
        name: Module name of the benchmark.
        body: Measures and adds rows.
        device: Where things are measured; the CPU where None.
        sized: Whether it takes `--size`; results of another size than 1 get a file of their own.
        parts: What `--part` may run alone; its results get a file of their own as well.
        apart: Whether the parts of a whole run get a process each, side by side.
    """
    parser = argparse.ArgumentParser(f"python -m benchmarks.{name}", description=body.__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; only shows it runs")
    if sized:
        parser.add_argument("--size", type=float, default=1.0, help="times the steps of training")
    if parts:
        parser.add_argument("--part", choices=parts, help="run this part alone")
    told = vars(parser.parse_args())
    if apart and told["part"] is None:
        raise SystemExit(run_parts(name, parts, sys.argv[1:]))
    size, part = told.get("size", 1.0), told.get("part")
    named = [name, *([part] if part else []), *([] if size == 1 else [f"size{size:g}"])]
    bench = Bench(".".join(named), told["quick"], device, size, part)
    body(bench)
    raise SystemExit(bench.close())
