"""FSDP2 and DeepSpeed on one real device: do they train as one device without them does?

Runs are those of `cli.py fit`, in float32 and without dropout; a device alone has nothing to send,
so only the code of the strategies differs. Losses of all steps must agree to a relative 1e-4.
"""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.bench.harness import Bench

TINY = Path("configs/causal_lm/tiny.yaml")
TOLERANCE = 1e-4
"""Largest relative difference of a loss: kernels may add in another order."""
NUM_STEPS = 20


def fsdp2(bench: Bench) -> None:
    """Losses under FSDP2 beside those of one device alone."""
    beside_alone(bench, "fsdp2")


def deepspeed(bench: Bench) -> None:
    """Losses under ZeRO-2 of DeepSpeed beside those of one device alone."""
    beside_alone(bench, "deepspeed_zero2")


def beside_alone(bench: Bench, strategy: str) -> None:
    """Train the same steps twice, and compare."""
    with TemporaryDirectory() as folder:
        alone = losses(bench, Path(folder) / "alone")
        layer = f"--config=configs/strategy/{strategy}.yaml"
        divided = losses(bench, Path(folder) / strategy, layer)
    bench.details["losses"] = {"alone": alone, strategy: divided}
    if len(alone) != len(divided):
        raise RuntimeError(f"{len(alone)} losses alone, {len(divided)} under {strategy}")
    worst = max(abs(b / a - 1) for a, b in zip(alone, divided, strict=True))
    what = f"{strategy} on one device: largest relative difference of {len(alone)} losses"
    bench.row(0, what, worst, TOLERANCE)


def losses(bench: Bench, root: Path, *layers: str) -> list[float]:
    """The loss of every step of a fit."""
    from cli import main

    start = perf_counter()
    main(["fit", f"--config={TINY}", *layers, *options(bench, root)])
    bench.details[f"seconds of {root.name}"] = perf_counter() - start
    [file] = root.rglob("metrics.csv")
    with file.open(encoding="utf-8") as lines:
        found = [row.get("train/loss") or "" for row in csv.DictReader(lines)]
    return [float(value) for value in found if value]


def options(bench: Bench, root: Path) -> list[str]:
    """A short fit that writes into a folder."""
    steps = 3 if bench.quick else NUM_STEPS
    logger = {"class_path": "engine.run.logger.RunLogger", "init_args": {"root": str(root)}}
    report = [{"class_path": "callbacks.report.Report"}]
    accelerator = "cuda" if bench.device.type == "cuda" else "cpu"
    return [
        f"--trainer.accelerator={accelerator}",
        "--trainer.devices=1",
        "--trainer.precision=32-true",
        f"--trainer.max_steps={steps}",
        "--trainer.log_every_n_steps=1",
        "--trainer.val_check_interval=null",
        "--trainer.limit_val_batches=0",
        f"--trainer.logger={json.dumps(logger)}",
        f"--trainer.callbacks={json.dumps(report)}",
        f"--data.init_args.cache={root.parent / 'tokens'}",
        "--data.init_args.train.init_args.num=500",
    ]
