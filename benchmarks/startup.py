"""How long a command takes to begin, and whether the loader keeps a model busy."""

import os
import resource
import subprocess
import sys
from itertools import islice
from pathlib import Path
from time import perf_counter

from benchmarks.baselines.plain_loop import HandWrittenLoop
from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import Measure
from datamodules.text.datamodule import TextData
from modules.causal_lm.system import CausalLM

ROOT = Path(__file__).parent.parent
TINY = Path("configs/causal_lm/tiny.yaml")
NUM_READ = 10
"""Batches that the loader is timed over."""


def process(*words: str) -> Measure:
    """Processor time of a fresh Python process; other users' work is not in it."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def seconds() -> float:
        before = spent()
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
        return spent() - before

    return seconds


def start_up(bench: Bench) -> None:
    """`cli.py fit --help` against `import lightning`, in fresh processes with warm files."""
    measures = {
        "import lightning": process("-c", "import lightning"),
        "fit --help": process("cli.py", "fit", "--help"),
    }
    timings = bench.time("start-up", measures, "import lightning", num_rounds=5, num_quick=1)
    ratio = timings.ratio("fit --help", "import lightning")
    bench.row(14, "cli.py fit --help / import lightning", ratio, 1.3, timings, limit=1.0)


def loader(bench: Bench) -> None:
    """Rows/s of the loader over the rows/s of the fastest loop over tiny.yaml's model."""
    what = configured([TINY])
    data, model = what.datamodule, what.model
    assert isinstance(data, TextData)
    assert isinstance(model, CausalLM)
    data.prepare_data()
    data.setup("fit")
    stream = iter(data.train_dataloader())
    loop = HandWrittenLoop(model, list(islice(stream, 8)))

    def read() -> float:
        start = perf_counter()
        for _ in islice(stream, NUM_READ):
            pass
        return (perf_counter() - start) / (NUM_READ * data.batch_size)

    def train() -> float:
        return loop.seconds_a_step(3, 1) / data.batch_size

    timings = bench.time("loader", {"loader": read, "model": train}, "model", num_quick=1)
    rows = {name: 1 / timings.time(name).median for name in ("loader", "model")}
    bench.say(f"loader {rows['loader']:.0f} rows/s, model {rows['model']:.1f} rows/s")
    ratio = timings.ratio("model", "loader")
    bench.row(14, "loader rows/s / rows/s the model takes", ratio, 20, timings, at_least=True)


def measure(bench: Bench) -> None:
    """Start-up of a command / import of lightning; loader / model."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    start_up(bench)
    loader(bench)


if __name__ == "__main__":
    run("startup", measure)
