"""What a training step costs beyond a hand-written loop over the same network and batches.

Short fits and stretches of the loop take turns. Ours is the trainer of configs/base.yaml with all
that it switches on: report and logs every 10 steps, progress bar on a terminal, checkpoints (one
is written and timed in every round, its time spread over the steps between two), our resumable
loader. "bare" is Lightning without bar, logger and checkpoints; "plain" is Lightning as it comes.
Stretches are short and many, so that a machine whose speed drifts slows all four alike. One thread
computes, as what is measured is Python's, and the clock is the processor time of all threads of the
process: on a shared machine somebody else's work takes longer than what is measured. Only a
checkpoint is timed by the wall, as it waits for the disk.
"""

import os
import warnings
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import lightning as L
import torch
import yaml

from benchmarks.baselines.plain_loop import HandWrittenLoop
from benchmarks.bench.from_config import Configured, configured
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.stopwatch import Stopwatch, on_a_terminal
from benchmarks.bench.timing import MedianInterval, Timings, estimate
from engine.measure.machine import synchronise
from modules.causal_lm.system import CausalLM

CPU = torch.device("cpu")
Options = dict[str, int | bool]
SMALL: Options = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
TINIEST = SMALL | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
MIDDLE: Options = SMALL | {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
TINY = Path("configs/causal_lm/tiny.yaml")
CHECKPOINT_STEPS = 500
"""Steps between two checkpoints in configs/base.yaml."""
NUM_WARM = 12
"""Steps of a fit before its stretch; the first report, which opens files, is among them."""


class Contest:
    """One network, trained in four ways.

    Args:
        folder: Where configs, tokens and runs are written.
        options: Size of the network.
        row_length: Tokens of a row.
        batch_size: Rows of a step.
        num_steps: Steps of a stretch; a multiple of the steps between two reports.
        device: Where they train. On a GPU the clock is the wall's and waits for the device.
    """

    def __init__(
        self,
        folder: Path,
        options: Options,
        row_length: int,
        batch_size: int,
        num_steps: int,
        device: torch.device = CPU,
    ):
        self.folder = folder
        self.num_steps = num_steps
        self.device = device
        clock = process_time if device.type == "cpu" else partial(waited, device)
        self.watch = Stopwatch(NUM_WARM, num_steps, clock)
        config = write_config(folder, options, row_length, batch_size, self.watch.max_steps, device)
        self.run, self.rival, own = (configured([TINY, config]) for _ in range(3))
        assert isinstance(own.model, CausalLM)
        batches = first_batches(own, 50)
        self.loop = HandWrittenLoop(own.model, batches, clock=clock, device=device)
        self.saving: list[float] = []

    def hand_written(self) -> float:
        """The loop, seconds a step."""
        return self.loop.seconds_a_step(self.num_steps)

    def ours(self) -> float:
        """Our trainer, seconds a step, its share of a checkpoint included."""
        trainer = self.run.fresh_trainer()
        trainer.callbacks.append(self.watch)  # type: ignore[attr-defined]
        took = self._fit(trainer, self.run)
        start = perf_counter()
        trainer.save_checkpoint(self.folder / "timed.ckpt")
        self.saving.append(perf_counter() - start)
        return took + self.saving[-1] / CHECKPOINT_STEPS

    def bare(self) -> float:
        """Lightning without bar, logger and checkpoints, seconds a step."""
        return self._rival(logger=False, enable_progress_bar=False, enable_checkpointing=False)

    def plain(self) -> float:
        """Lightning with the bar, logger and checkpoints that it comes with, seconds a step."""
        return self._rival()

    def _rival(self, **options: Any) -> float:
        trainer = L.Trainer(
            accelerator=self.device.type,
            devices=1,
            max_steps=self.watch.max_steps,
            gradient_clip_val=1.0,
            enable_model_summary=False,
            callbacks=[self.watch],
            default_root_dir=self.folder,
            **options,
        )
        return self._fit(trainer, self.rival)

    def _fit(self, trainer: L.Trainer, what: Configured) -> float:
        self.watch.marks.clear()
        with on_a_terminal():
            trainer.fit(what.model, what.datamodule)
        return self.watch.seconds_a_step


def waited(device: torch.device) -> float:
    """The wall's clock, once a device has done what it was given."""
    synchronise(device)
    return perf_counter()


def write_config(
    folder: Path,
    options: Options,
    row_length: int,
    batch_size: int,
    max_steps: int,
    device: torch.device = CPU,
) -> Path:
    """What a run of the given size, on made-up stories, changes of tiny.yaml."""
    text = {
        "class_path": "datamodules.synthetic.stories.source.StoryText",
        "init_args": {"num": 2000},
    }
    data = {
        "train": [text],
        "validate": None,
        "test": None,
        "row_length": row_length,
        "batch_size": batch_size,
        "packing": "concatenate",
        "cache": str(folder / "tokens"),
    }
    network = {"init_args": {"options": options | {"max_position_embeddings": 512}}}
    trainer = {
        "accelerator": device.type,
        "devices": 1,
        "max_steps": max_steps,
        **({} if device.type == "cpu" else {"precision": "32-true"}),  # as the loop has it
        "val_check_interval": None,
        "logger": {"init_args": {"root": str(folder / "runs")}},
    }
    config = {
        "model": {"init_args": {"network": network}},
        "data": {"init_args": data},
        "trainer": trainer,
    }
    path = folder / "size.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def first_batches(what: Configured, number: int) -> list[Any]:
    """The first batches of a run's own loader."""
    what.datamodule.prepare_data()
    what.datamodule.setup("fit")
    return list(islice(what.datamodule.train_dataloader(), number))


def calibrated(
    folder: Path,
    options: Options,
    row_length: int,
    seconds: float,
    num_steps: int,
    device: torch.device = CPU,
) -> Contest:
    """A contest whose hand-written step takes about `seconds`."""
    probe = Contest(folder, options, row_length, 4, 10, device)
    size = max(1, round(4 * seconds / min(probe.hand_written() for _ in range(3))))
    return Contest(folder, options, row_length, size, num_steps, device)


def compare(bench: Bench, what: str, contest: Contest, num_rounds: int) -> Timings:
    """Time the four ways against each other."""
    measures: dict[str, Callable[[], float]] = {
        "hand-written": contest.hand_written,
        "ours": contest.ours,
        "bare": contest.bare,
        "plain": contest.plain,
    }
    timings = bench.time(what, measures, "hand-written", num_rounds)
    for name in measures:
        bench.say(f"  {name}: {timings.time(name).median * 1e3:.2f} ms a step")
    bench.details[what]["checkpoint_seconds"] = estimate(contest.saving).median
    return timings


def milliseconds(seconds: MedianInterval) -> MedianInterval:
    """The same in thousandths."""
    return MedianInterval(seconds.median * 1e3, seconds.low * 1e3, seconds.high * 1e3)


def measure(bench: Bench) -> None:
    """Training step / hand-written loop, and ms above a bare Trainer.fit."""
    warnings.filterwarnings("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        bench.say("calibrating")
        slow = calibrated(Path(folder), MIDDLE, 128, 0.1, 10)
        timings = compare(bench, "100 ms steps", slow, 25)
        bench.row(
            1,
            "step / hand-written loop, 100 ms steps",
            timings.ratio("ours", "hand-written"),
            1.03,
            timings,
            peer=timings.ratio("plain", "hand-written"),
            limit=1.0,
        )
        fast = calibrated(Path(folder), TINIEST, 32, 0.005, 40)
        timings = compare(bench, "5 ms steps", fast, 60)
        bench.row(
            1,
            "ms above a bare Trainer.fit, 5 ms steps",
            milliseconds(timings.difference("ours", "bare")),
            0.3,
            timings,
            peer=milliseconds(timings.difference("plain", "bare")),
        )


if __name__ == "__main__":
    run("trainer_overhead", measure)
