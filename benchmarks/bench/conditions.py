"""Under which conditions something was measured: commit, versions, machine and its rates."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from engine.measure.machine import SECONDS, matmul_rate, synchronise

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "lightning", "transformers", "numpy")


def conditions(device: torch.device) -> dict[str, Any]:
    """All that is needed to judge a figure later."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "commit": commit(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "device": name,
        "threads": torch.get_num_threads(),
        **rates(device),
    }


def rates(device: torch.device) -> dict[str, float]:
    """The machine's own matmul rates in FLOP/s and its copy rate in byte/s, as they are now."""
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    found = {f"matmul_{name}": matmul_rate(device, kind) for name, kind in kinds.items()}
    found["copy"] = copy_rate(device)
    return {name: float(f"{rate:.4g}") for name, rate in found.items()}


def copy_rate(device: torch.device, num_bytes: int = 256 * 2**20) -> float:
    """Rate of a large copy, bytes read and bytes written, in byte/s; the best of some."""
    source = torch.ones(num_bytes // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    best, spent = 0.0, 0.0
    while spent < SECONDS:
        synchronise(device)
        start = perf_counter()
        target.copy_(source)
        synchronise(device)
        took = perf_counter() - start
        spent += took
        best = max(best, 2 * num_bytes / took)
    return best


def commit() -> str:
    """The commit of the code, with a + where files differ from it; "unknown" without git."""
    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def git(*words: str) -> str:
    """What git answers, asked in the folder of the project."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def processor() -> str:
    """Name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
