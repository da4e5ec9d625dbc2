"""Processes that run a command line: started apart or forked, watched, and ended softly."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Protocol

CLI = Path(__file__).parents[2] / "cli.py"
EntryPoint = Callable[[list[str]], None]
"""Runs a command line, as `cli.main` does."""
PATIENCE = 60.0
"""Seconds that a process has to save, after it was asked to end."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal a process gets when the one that started it dies."""


class Child(Protocol):
    """A process that runs a command line, and leads a session of its own."""

    pid: int

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """Exit code, once it has ended."""


class Forked:
    """A process forked from this one, which need import nothing again."""

    def __init__(self, process: ForkProcess):
        assert process.pid is not None
        self.process = process
        self.pid: int = process.pid

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self.process.exitcode

    def wait(self) -> int:
        """Exit code, once it has ended."""
        self.process.join()
        return self.process.exitcode or 0


def start_apart(
    args: list[str],
    log: Path,
    lock: int,
    launcher: Sequence[str] | None = None,
    outlives: bool = True,
) -> Child:
    """Start a command line in a process of its own, or in those that a launcher starts.

    Ctrl-C of a terminal does not reach it: whoever started it decides.

    Args:
        args: What follows `python cli.py`.
        log: File that what it prints is appended to.
        lock: Descriptor that it holds as long as it runs.
        launcher: What starts it, in place of this interpreter; `torchrun` is that of this one.
        outlives: Whether it continues when this process is killed; else it gets SIGTERM.
    """
    with log.open("a") as file:
        return subprocess.Popen(
            [*interpreter(launcher), str(CLI), *args],
            stdout=file,
            stderr=file,
            pass_fds=[lock],
            start_new_session=True,
            preexec_fn=None if outlives else end_with_parent,
        )


def interpreter(launcher: Sequence[str] | None) -> list[str]:
    """What runs a Python file."""
    if not launcher:
        return [sys.executable]
    if launcher[0] == "torchrun":  # of the same installation, also where it is not on the path
        return [sys.executable, "-m", "torch.distributed.run", *launcher[1:]]
    return list(launcher)


def start_forked(entry_point: EntryPoint, args: list[str], log: Path) -> Child:
    """Start a command line in a fork of this process, which ends with it.

    Descriptors are inherited, those of locks too. CUDA does not survive a fork once it was used.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    process = multiprocessing.get_context("fork").Process(
        target=run_forked, args=(entry_point, args, log)
    )
    process.start()
    return Forked(process)


def run_forked(entry_point: EntryPoint, args: list[str], log: Path) -> None:
    """What a fork does: it becomes what a process of its own would be, and runs a command line."""
    os.setsid()
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out = log.open("a", buffering=1)  # to the end: an error is printed by whoever called
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    sys.stdout = sys.stderr = out
    entry_point(args)


def end_with_parent() -> None:
    """Have the system send SIGTERM when the process that started this one dies; Linux only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def ended_softly(child: Child, patience: float = PATIENCE) -> Iterator[None]:
    """Within it, whatever stops this process asks the child to end, and waits until it has."""
    try:
        yield
    except BaseException:
        end_softly(child, patience)
        raise


def end_softly(child: Child, patience: float = PATIENCE) -> int:
    """Ask a process to save and end; kill it, and what it has started, where that takes too long.

    Returns:
        Its exit code.
    """
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    try:
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:  # also where somebody is less patient
        if child.poll() is None:
            kill(child)
    return child.wait()


def kill(child: Child) -> None:
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
