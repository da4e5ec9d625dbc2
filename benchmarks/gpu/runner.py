"""Runs parts one after another, each in a process of its own, within a limited time.

What a part leaves is written before the next begins, so a run that is ended has what it measured.
A part that fails, runs out of memory or takes too long is recorded with its message; the others
go on. Processes are forked from a server that has imported everything and never used the device;
where a driver does not stand that, the first part fails, and new processes are begun for all.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from benchmarks.gpu.part import GpuPart, run_alone
from engine.disk.strict_json import dumps
from engine.disk.whole import whole

SHARE = 0.4
"""A part is begun where at least this share of its time is left."""
TAIL = 15
"""Lines of what a failed part printed that are kept."""


def say(text: str) -> None:
    """Show progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Runner:
    """Measures parts and keeps one file.

    Attributes:
        parts: In order; the most valuable first.
        device: Where they measure.
        out: The file.
        folder: For what each part writes.
        quick: Whether only to show that they run.
        seconds: Most time for all of them.
        start: How processes begin: a start method of `multiprocessing`.
        facts: What else the file says.
        tell: Hears of progress.
        found: What became of each part.
    """

    parts: Sequence[GpuPart]
    device: torch.device
    out: Path
    folder: Path
    quick: bool = False
    seconds: float = 540.0
    start: str = "forkserver"
    facts: dict[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] = say
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> None:
        """Measure all parts that the time allows."""
        self.began = monotonic()
        for part in self.parts:
            self.found[part.name] = {"status": "waiting"}
        self.keep()
        for number, part in enumerate(self.parts):
            self.settle(part, self.outcome(part))
            if number == 0 and self.found[part.name]["status"] == "failed" and self.may_respawn:
                self.start = "spawn"
                self.tell("the first part failed in a forked process: beginning new ones")
                self.settle(part, self.outcome(part))

    @property
    def may_respawn(self) -> bool:
        """Whether another way to begin processes is left."""
        return self.start == "forkserver" and self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (monotonic() - self.began)

    def outcome(self, part: GpuPart) -> dict[str, Any]:
        """Run a part if it can be; what became of it."""
        if part.needs_cuda and self.device.type != "cuda":
            return {"status": "not run", "message": "needs CUDA"}
        if self.left < SHARE * part.seconds:
            left = f"{max(0.0, self.left):.0f} s of {self.seconds:.0f} are left"
            return {"status": "skipped", "message": f"{left}, it may take {part.seconds:.0f}"}
        self.tell(f"[{self.seconds - self.left:5.0f} s] {part.name}")
        for ending in ("json", "log"):
            (self.folder / f"{part.name}.{ending}").unlink(missing_ok=True)
        began = monotonic()
        code = self.ended(part)
        kept = read(self.folder / f"{part.name}.json")
        status = "done" if kept.get("ended") else "failed"
        message = kept.get("error") or ("" if kept.get("ended") else f"it ended with code {code}")
        if code is None:
            status, message = "timed out", "it took longer than it may; rows before that stand"
        found = {"status": status, "seconds": round(monotonic() - began, 1)}
        found |= {"rows": kept.get("rows", []), "details": kept.get("details", {})}
        if status != "done":
            found |= {"message": message, "printed": tail(self.folder / f"{part.name}.log")}
        return found

    def ended(self, part: GpuPart) -> int | None:
        """The exit code of a part's process; None where it had to be ended."""
        context = multiprocessing.get_context(self.start)
        given = part, self.device, self.quick, self.folder
        process = context.Process(target=run_alone, args=given)  # type: ignore[attr-defined]
        process.start()
        process.join(max(1.0, min(part.seconds, self.left)))
        if process.exitcode is None:
            end_group(process.pid)
            process.join()
            return None
        return int(process.exitcode)

    def settle(self, part: GpuPart, found: dict[str, Any]) -> None:
        """Take over what became of a part, and write everything."""
        self.found[part.name] = found
        self.keep()
        self.tell(f"  {found['status']} {found.get('message', '')}".rstrip())

    def keep(self) -> None:
        """Write the file."""
        names = [part.name for part in self.parts]
        content = {
            "name": "gpu",
            "quick": self.quick,
            "device": str(self.device),
            "seconds": round(self.seconds - self.left, 1),
            **self.facts,
            "skipped": [n for n in names if self.found[n]["status"] == "skipped"],
            "rows": self.rows,
            "parts": self.found,
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with whole(self.out) as draft:
            draft.write_text(dumps(content, indent=2) + "\n", encoding="utf-8")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far."""
        return [{"part": n, **row} for n, one in self.found.items() for row in one.get("rows", [])]


def end_group(leader: int | None) -> None:
    """End a process and those that it began."""
    if leader is None:
        return
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:  # it has not yet a group of its own
        os.kill(leader, signal.SIGKILL)


def read(path: Path) -> dict[str, Any]:
    """What a part kept; nothing where it kept nothing."""
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def tail(path: Path) -> list[str]:
    """The last lines that a part printed."""
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
