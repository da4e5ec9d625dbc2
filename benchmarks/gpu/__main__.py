"""All that a GPU is to show, within nine minutes; or, with --quick on a CPU, that it runs."""

import argparse
import multiprocessing
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.bench.conditions import ROOT, commit
from benchmarks.bench.record import RESULTS, rounded
from benchmarks.gpu.parts import PARTS, PRELOADED
from benchmarks.gpu.runner import Runner, say
from engine.disk.strict_json import dumps

QUICK = ROOT / "runs" / "benchmarks" / "gpu.json"
"""Where a run that measures nothing writes."""
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # who only asks for a GPU may fork
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",  # fewer fragments: 8 B nearly fill it
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    names = [part.name for part in PARTS]
    made.add_argument("--quick", action="store_true", help="tiny sizes; only shows that it runs")
    made.add_argument("--part", action="append", choices=names, help="this part alone; repeatable")
    made.add_argument("--seconds", type=float, default=540, help="most time for everything")
    made.add_argument("--device", help="cuda where there is one, or else cpu")
    made.add_argument("--out", type=Path, help="the JSON file that is written")
    return made


def main() -> None:
    """Measure, and print one line of JSON."""
    told = parser().parse_args()
    os.environ |= SETTINGS
    device = torch.device(told.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type != "cuda" and not told.quick:
        raise SystemExit("there is no CUDA device; --quick shows on a CPU that everything runs")
    os.chdir(ROOT)
    multiprocessing.set_forkserver_preload(PRELOADED)
    chosen = [part for part in PARTS if told.part is None or part.name in told.part]
    full = RESULTS / ("gpu.json" if told.part is None else f"gpu_{'_'.join(told.part)}.json")
    out = told.out or (QUICK if told.quick else full)
    with TemporaryDirectory() as folder:
        runner = Runner(chosen, device, out.absolute(), Path(folder), told.quick, told.seconds)
        runner.facts["commit"] = commit()
        runner.run()
    say(f"wrote {out}")
    states = {name: found["status"] for name, found in runner.found.items()}
    rows = [{key: rounded(value) for key, value in row.items()} for row in runner.rows]
    print(dumps({"name": "gpu", "rows": rows, "parts": states}), flush=True)


if __name__ == "__main__":
    main()
