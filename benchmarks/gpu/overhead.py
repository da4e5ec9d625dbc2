"""What our trainer and loaders cost beside a GPU's step (rows 1 and 8)."""

import warnings
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import lightning as L
import torch
from typing_extensions import override

from benchmarks.baselines.plain_loop import HandWrittenLoop, moved
from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench
from benchmarks.bench.stopwatch import on_a_terminal
from benchmarks.codec import DIGITS
from benchmarks.trainer_overhead import (
    MIDDLE,
    TINIEST,
    Contest,
    Options,
    calibrated,
    compare,
)
from engine.measure.machine import synchronise
from modules.causal_lm.system import CausalLM

LARGE: Options = MIDDLE | {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
}
NUM_REPORT = 10
"""Steps between two reports in configs/base.yaml."""
NUM_LOADED = 50
"""Steps over which the wait for a loader is measured."""


class SyncCounter(L.Callback):
    """Counts how often the host waits for the device, step by step, as torch's own warning says.

    Only kernels that ask are seen (`nonzero`, `item`, copies), which is what slows a loop.
    """

    def __init__(self) -> None:
        self.step = 0
        self.waits: dict[int, int] = {}

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.step = trainer.global_step

    def heard(self, message: Any, *_: Any, **__: Any) -> None:
        """Take the place of `warnings.showwarning`."""
        if "synchronizing" in str(message):
            self.waits[self.step] = self.waits.get(self.step, 0) + 1


def measure(bench: Bench) -> None:
    """Training step / hand-written loop, and waits of the host between two reports."""
    warnings.filterwarnings("ignore")
    with TemporaryDirectory() as folder:
        contest = sized(bench, Path(folder))
        timings = compare(bench, "100 ms steps", contest, 5)
        ratio, peer = (timings.ratio(name, "hand-written") for name in ("ours", "plain"))
        what = "step / hand-written loop, 100 ms steps"
        bench.row(1, what, ratio, bench.aim(1.03, 1.01), timings, peer=peer, limit=1.0)
        if bench.device.type == "cuda":
            count_waits(bench, contest)


def sized(bench: Bench, folder: Path) -> Contest:
    """Networks whose step is long; tiny ones where only shown to run."""
    if bench.quick:
        return Contest(folder, TINIEST, 32, 2, NUM_REPORT, bench.device)
    return calibrated(folder, LARGE, 512, 0.1, NUM_REPORT, bench.device)


def count_waits(bench: Bench, contest: Contest) -> None:
    """Waits in the steps between two reports."""
    counter = SyncCounter()
    trainer = contest.run.fresh_trainer()
    trainer.callbacks.insert(0, counter)  # type: ignore[attr-defined]
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = counter.heard
            with on_a_terminal():
                trainer.fit(contest.run.model, contest.run.datamodule)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    bench.details["waits of the host by step"] = counter.waits
    between = [n for n in range(NUM_REPORT + 1, 2 * NUM_REPORT) if (n + 1) % NUM_REPORT]
    most = max(counter.waits.get(n, 0) for n in between)
    bench.row(1, "most waits for the device in a step between two reports", most, 0)


def loader(bench: Bench) -> None:
    """Share of a step in which the loop waits for pictures that become tokens."""
    built = configured([DIGITS], *([] if bench.quick else ["--data.init_args.num_workers=4"]))
    system = built.model
    assert isinstance(system, CausalLM)
    built.datamodule.prepare_data()
    built.datamodule.setup("fit")
    batches = built.datamodule.train_dataloader()
    loop = HandWrittenLoop(system, list(islice(batches, 2)), device=bench.device)
    loop.network.train()
    num_steps = 3 if bench.quick else NUM_LOADED
    waited, began, given = 0.0, 0.0, endless(batches)
    for number in range(3 + num_steps):
        if number == 3:  # workers have begun, kernels are there
            synchronise(bench.device)
            waited, began = 0.0, perf_counter()
        start = perf_counter()
        batch = next(given)
        waited += perf_counter() - start
        loop.step(moved(batch, bench.device))
        synchronise(bench.device)
    share = waited / (perf_counter() - began)
    bench.details["milliseconds a step"] = (perf_counter() - began) * 1e3 / num_steps
    bench.row(8, "wait for the loader / step, JPEG-LM on digits", share, 0.005)


def endless(batches: Any) -> Any:
    """The batches of a loader, pass after pass."""
    return (batch for _ in cycle([None]) for batch in batches)
