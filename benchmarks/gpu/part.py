"""One part of the run, and what becomes of it in a process of its own."""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from benchmarks.bench.harness import Bench
from engine.disk.strict_json import dumps
from engine.disk.whole import whole


@dataclass(frozen=True)
class GpuPart:
    """Something that is measured by itself.

    Attributes:
        name: As `--part` takes it.
        work: Measures, and adds rows.
        seconds: Most time that it may take.
        needs_cuda: Whether nothing of it runs on a CPU.
    """

    name: str
    work: Callable[[Bench], None]
    seconds: float
    needs_cuda: bool = False


class PartBench(Bench):
    """A benchmark that keeps what it has after every timing and row.

    Args:
        name: Of the part.
        quick: As of `Bench`.
        device: As of `Bench`.
        file: Where everything is kept.
    """

    max_rounds = 7
    max_attempts = 1

    def __init__(self, name: str, quick: bool, device: torch.device, file: Path):
        super().__init__(name, quick, device)
        self.file = file
        self.error: str | None = None
        self.ended = False

    @override
    def row(self, *args: Any, **kwargs: Any) -> None:
        super().row(*args, **kwargs)
        self.keep()

    def keep(self) -> None:
        """Write everything that is known so far."""
        content = {
            "rows": [row.as_json() for row in self.rows],
            "details": self.details,
            "ended": self.ended,
            "error": self.error,
        }
        with whole(self.file) as draft:
            draft.write_text(dumps(content), encoding="utf-8")


def run_alone(part: GpuPart, device: torch.device, quick: bool, folder: Path) -> None:
    """Measure one part in this process, which does nothing else; an error is kept, not raised.

    Args:
        part: What to measure.
        device: Where.
        quick: Whether only to show that it runs.
        folder: Takes `NAME.json`, and `NAME.log` with all that is printed.
    """
    os.setsid()  # so that whoever ends it ends its own processes too
    print_into(folder / f"{part.name}.log")
    bench = PartBench(part.name, quick, device, folder / f"{part.name}.json")
    try:
        part.work(bench)
        bench.ended = True
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        bench.error = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    bench.keep()


def print_into(path: Path) -> None:
    """Let everything that this process and its own print go into a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    sys.stdout, sys.stderr = (open(n, "w", 1, closefd=False) for n in (1, 2))  # line by line
