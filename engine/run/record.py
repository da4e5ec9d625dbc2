"""The record in a run folder: the command, the commit, how the run ended, and its traceback."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
from typing_extensions import override

from engine.config.refusals import refusal, written
from engine.disk.whole import whole
from engine.run.interruption import signal_behind
from engine.run.weights import WeightsReport

FILE = "run.json"
TRACEBACK = "traceback.log"


class RunRecord(L.Callback):
    """Keeps `run.json` in the run folder, and `traceback.log` where an error ends the run.

    Args:
        args: The command line.
        weights: Reports which weights are used.
    """

    def __init__(self, args: list[str], weights: WeightsReport):
        self.weights = weights
        self.folder: Path | None = None
        self.is_first = True
        self.notes: dict[str, Any] = {"command": shlex.join(["python", "cli.py", *args])}

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        folder = trainer.log_dir if trainer.loggers else None  # all ranks hear rank 0's
        self.is_first = trainer.is_global_zero
        if folder is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self.folder = Path(folder)
        self.note(commit=commit(), started=now(), state="running")

    def note(self, **said: Any) -> None:
        """Add to the notes, as far as there is a folder and a disk."""
        weights = self.weights.line.removeprefix("weights: ")
        self.notes |= said | ({"weights": weights} if weights else {})
        if self.folder is None or not self.is_first:
            return
        with suppress(OSError), whole(self.folder / FILE) as path:
            path.write_text(json.dumps(self.notes, indent=2) + "\n")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within it, an end of any kind is noted; errors propagate."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception):
                self.keep_traceback(error)
            self.note(state=ending(error), ended=now())
            raise
        self.note(state="finished", ended=now())

    def keep_traceback(self, error: Exception) -> None:
        """Append the whole traceback of an error to the run folder's log."""
        if self.folder is not None and self.folder.is_dir():
            with suppress(OSError), (self.folder / TRACEBACK).open("a") as file:
                file.write(f"{now()}, process {os.getpid()}\n{written(error)}\n")


def ending(error: BaseException) -> str:
    """What ended a run: a signal, a refusal, an error, or an exit that somebody asked for."""
    signal = signal_behind(error)
    if signal:
        return f"stopped by {signal}"
    reason = getattr(error, "reason", None) if isinstance(error, SystemExit) else refusal(error)
    if isinstance(error, SystemExit) and reason is None:
        return f"stopped with exit code {error.code}"
    return f"failed: {reason or first_line(error)}"


def first_line(error: BaseException) -> str:
    """Type and first line of the message of an error."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def now() -> str:
    """Date and time, to the second, with the offset of the clock."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def commit() -> str | None:
    """The commit of this code; None where git knows none."""
    with suppress(OSError, subprocess.SubprocessError):
        here = Path(__file__).parent
        command = ["git", "-C", str(here), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()
    return None
