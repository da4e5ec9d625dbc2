"""How the process of a trial ended, and why."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from engine.study.launch import last_line
from engine.study.results import numbered, record

REFUSED = 2
"""Exit code of a command that was refused."""
FULL = re.compile(r"out of memory|OutOfMemory|can't allocate memory|MemoryError", re.I)
"""What is said where memory runs out."""
OF_CHILD = re.compile(r"Signal \d+ \((SIG\w+)\)")
"""How torchrun reports the end of one of its processes."""


@dataclass(frozen=True)
class Ending:
    """The end of a process.

    Attributes:
        kind: finished, pruned, failed, refused, killed, or out_of_memory.
        reason: In a line; empty where it ended well.
    """

    kind: str
    reason: str = ""

    def __str__(self) -> str:
        """As it is reported."""
        return f"{self.kind.replace('_', ' ')}{f': {self.reason}' if self.reason else ''}"


def ending(code: int, folder: Path, log: Path) -> Ending:
    """What ended a process.

    Args:
        code: Its exit code, negative for a signal.
        folder: Of its cell.
        log: What it printed.
    """
    if code == 0:
        return Ending("finished")
    runs = numbered(folder)
    state = str(record(runs[-1]).get("state", "")) if runs else ""
    told = state.removeprefix("failed: ") if state.startswith("failed: ") else last_line(log)
    if FULL.search(told) or FULL.search(tail(log)):
        return Ending("out_of_memory", told)
    name = signal_of(code, state, log)
    if name:
        return Ending("killed", f"by {name}{HINTS.get(name, '')}")
    return Ending("refused" if code == REFUSED else "failed", told)


HINTS = {"SIGKILL": ", as the system does where memory runs out"}
"""What a signal may mean."""


def signal_of(code: int, state: str, log: Path) -> str | None:
    """Name of the signal that ended a process, or one that it had started."""
    if code < 0:
        return signal.Signals(-code).name
    if state.startswith("stopped by "):
        return state.removeprefix("stopped by ")
    if code > 128 and code - 128 in signal.valid_signals():
        return signal.Signals(code - 128).name
    found = OF_CHILD.search(tail(log))
    return found[1] if found else None


def tail(log: Path, size: int = 2000) -> str:
    """The last characters of a file."""
    return log.read_text(errors="replace")[-size:] if log.is_file() else ""
