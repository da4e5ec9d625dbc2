"""The machine: versions, its rates, and whether a process can use the device at all."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.bench.conditions import conditions
from benchmarks.bench.harness import Bench

PACKAGES = ("transformers", "bitsandbytes", "deepspeed", "triton", "torchao")


def measure(bench: Bench) -> None:
    """Rates of matrix products and copies, versions and memory."""
    bench.details |= conditions(bench.device)
    bench.details["packages"] = {name: installed(name) for name in PACKAGES}
    bench.details["cores"] = os.cpu_count()
    bench.details["disk_free"] = shutil.disk_usage(".").free
    if bench.device.type == "cuda":
        found = torch.cuda.get_device_properties(bench.device)
        bench.details["memory"] = found.total_memory
        bench.details["l2"] = getattr(found, "L2_cache_size", None)
        bench.details["cuda"] = torch.version.cuda


def installed(name: str) -> str | None:
    """Version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
