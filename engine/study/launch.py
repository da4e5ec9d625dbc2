"""Runs the commands of one cell, in this process or in one each, and reports failures."""

import fcntl
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType

from lightning.pytorch.utilities.exceptions import SIGTERMException

from engine.study.child import EntryPoint, ended_softly, start_apart
from engine.study.trial import Cell

Say = Callable[[str], None]
"""Shows a line of progress."""


@dataclass(frozen=True)
class Failure:
    """A command that ended badly.

    Attributes:
        cell: Name of the cell.
        command: Name of the command.
        reason: The last line that it printed.
        log: File with all lines.
    """

    cell: str
    command: str
    reason: str
    log: Path

    def __str__(self) -> str:
        """As it is reported."""
        return f"{self.cell} {self.command} failed: {self.reason} (see {self.log})"


class Stopped(SystemExit):
    """Somebody ended the grid by SIGTERM."""


def stop(signum: int, frame: FrameType | None) -> None:
    """Handle the signal at once, whatever runs."""
    raise Stopped(128 + signum)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it, SIGTERM ends everything; Lightning would end one command, as if it were done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def finish(cell: Cell, entry_point: EntryPoint | None, say: Say, place: str) -> Failure | None:
    """Run the commands of a cell that have no receipt; those after one that fails are not run.

    Args:
        cell: The cell, prepared.
        entry_point: What runs a command line in this process; where None, each gets its own.
        say: Shows progress.
        place: Which cell of how many, for progress.
    """
    with locked(cell.folder) as lock:
        if lock is None:
            say(f"[{place}] {cell.name}: is run by another process, and left to it")
            return None
        if cell.is_finished:
            say(f"[{place}] {cell.name}: was finished before")
            return None
        return run_all(cell, entry_point, say, place, lock)


def run_all(
    cell: Cell, entry_point: EntryPoint | None, say: Say, place: str, lock: int
) -> Failure | None:
    """The same for a cell that is ours; processes that are started hold its lock as well."""
    for name in cell.commands:
        if cell.receipt(name):
            continue
        resumed, log = cell.resumed(name), cell.folder / f"{name}.log"
        if cell.is_other(name):
            return failed(
                cell, name, "its configs have changed since the grid began", log, say, place
            )
        say(f"[{place}] {cell.name} {name}{' goes on' if resumed else ''}")
        start, args = monotonic(), cell.args(name) + resumed
        if not (run_here(entry_point, args, log) if entry_point else run_apart(args, log, lock)):
            return failed(cell, name, last_line(log), log, say, place)
        cell.sign(name, monotonic() - start)
        say(f"[{place}] {cell.name} {name}: {monotonic() - start:.1f} s")
    return None


def failed(cell: Cell, name: str, reason: str, log: Path, say: Say, place: str) -> Failure:
    """Show a failure, and return it."""
    failure = Failure(cell.name, name, reason, log)
    say(f"[{place}] {failure}")
    return failure


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """A lock on a cell; it ends with the last process that holds its descriptor.

    So several grids may share their cells, and a cell that outlives its grid is not run twice.

    Yields:
        The descriptor; None where somebody else has it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()


def run_apart(args: list[str], log: Path, lock: int) -> bool:
    """Run a command line in a process of its own; whether it ended well."""
    child = start_apart(args, log, lock)
    with ended_softly(child):
        return child.wait() == 0


def run_here(entry_point: EntryPoint, args: list[str], log: Path) -> bool:
    """Run a command line in this process; whether it ended well.

    Raises:
        KeyboardInterrupt: Somebody stopped it, also where Lightning turned that into an exit.
        Stopped: The same by SIGTERM.
    """
    with (
        log.open("a") as file,
        redirect_stdout(file),
        redirect_stderr(file),
        warnings.catch_warnings(),
    ):
        # Lightning advises against what is meant here: arguments that are not the process's own
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        try:
            entry_point(args)
        except SystemExit as error:
            context = error.__context__  # of a 1 that Lightning makes of it
            if error.code == 128 + signal.SIGINT or isinstance(context, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            if isinstance(error, (Stopped, SIGTERMException)):
                raise Stopped(128 + signal.SIGTERM) from error
            return not error.code
        except Exception:
            traceback.print_exc()
            return False
    return True


def last_line(log: Path) -> str:
    """The last line of a file that is not empty."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
