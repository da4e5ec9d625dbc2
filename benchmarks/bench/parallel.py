"""Runs the parts of a benchmark side by side: a process and a thread each, one for every core."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic

from engine.disk.strict_json import dumps


@dataclass(frozen=True)
class Ended:
    """A part that ended.

    Attributes:
        part: Its name.
        code: Its exit code.
        lines: What it printed.
    """

    part: str
    code: int
    lines: list[str]


def run_parts(name: str, parts: Sequence[str], words: Sequence[str]) -> int:
    """Run all parts, those named first begun first; each keeps a file of results of its own.

    Args:
        name: Module name of the benchmark.
        parts: What `--part` may be.
        words: The command line, without a part.

    Returns:
        The largest exit code; the tables are printed, and one last line for all.
    """
    start = monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ended = list(pool.map(partial(alone, name, words), parts))
    rows = []
    for one in ended:
        if not one.lines or not one.lines[-1].startswith("{"):
            print(f"{name} --part {one.part} failed with code {one.code}", file=sys.stderr)
            continue
        print("\n".join(one.lines[:-1]))
        rows += json.loads(one.lines[-1])["rows"]
    minutes = (monotonic() - start) / 60
    print(f"all parts side by side: {minutes:.1f} minutes", file=sys.stderr)
    print(dumps({"name": name, "rows": rows, "minutes": round(minutes, 1)}), flush=True)
    return max(one.code for one in ended)


def alone(name: str, words: Sequence[str], part: str) -> Ended:
    """One part in a process of its own, on one thread; its progress is shown as it comes."""
    command = [sys.executable, "-m", f"benchmarks.{name}", f"--part={part}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    return Ended(part, done.returncode, done.stdout.splitlines())
