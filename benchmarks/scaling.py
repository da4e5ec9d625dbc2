"""Two processes against one, and what they send: DDP, FSDP2 and ZeRO-2 on CPUs through gloo.

The same Llama is trained on the same rows: eight by one process, or four by each of two. "apart" is
two processes that know nothing of one another, the most that this machine gives to two. What is
sent is counted in the profile of one step, and compared with the least that makes all ranks agree:
2 (n - 1) / n of the gradients from each, as a ring sends them.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks.bench.collectives import minimum
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.process_group import RankCost, fits
from benchmarks.bench.timing import Measure

ROWS, LENGTH = 8, 256
"""Of a step, over all ranks."""
OPTIONS = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": LENGTH,
}
TINY = OPTIONS | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
STRATEGIES: dict[str, tuple[str, ...]] = {
    "ddp": ("configs/strategy/ddp.yaml",),
    "fsdp2": ("configs/strategy/fsdp2.yaml",),
    "zero2": (
        "configs/strategy/deepspeed_zero2.yaml",
        "--trainer.strategy.class_path=benchmarks.bench.deepspeed_on_cpu.DeepSpeedOnCPU",
    ),
}
EXPECTED = {"ddp": 1.0, "fsdp2": 1.5, "zero2": 1.0}
"""Bytes sent / minimum in theory: FSDP2 gathers the weights twice and scatters gradients once."""


def write_config(folder: Path, options: dict[str, Any]) -> Path:
    """A config of synthetic stories; nothing beside the training costs anything."""
    base = yaml.safe_load(Path("configs/causal_lm/tiny.yaml").read_text())
    base["model"]["init_args"]["network"]["init_args"]["options"] = options
    base["data"]["init_args"] |= {"row_length": LENGTH, "cache": str(folder / "cache")}
    quiet = {"logger": False, "callbacks": [], "enable_progress_bar": False}
    base["trainer"] = {"accelerator": "cpu", "val_check_interval": None, **quiet}
    base["trainer"] |= {
        "limit_val_batches": 0,
        "precision": "32-true",
        "enable_checkpointing": False,
    }
    path = folder / "scaling.yaml"
    path.write_text(yaml.safe_dump(base))
    return path


def rows(num: int) -> str:
    """The option of the rows of a rank."""
    return f"--data.init_args.batch_size={num}"


def scaling(bench: Bench) -> None:
    """Samples/s of two processes / of one; bytes sent / the least."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRAINER_TRUSTED": "benchmarks.bench"}
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    steps = 3 if bench.quick else 12
    options = TINY if bench.quick else OPTIONS
    with TemporaryDirectory() as folder:
        base = ["configs/causal_lm/base.yaml", str(write_config(Path(folder), options))]
        if bench.wants("sent"):
            communication(bench, base)
        if bench.wants("speed"):
            speed(bench, base, steps)


def speed(bench: Bench, base: list[str], steps: int) -> None:
    """Seconds of a step of the same rows, in each way."""

    def one(world: int, *more: str, apart: bool = False) -> Measure:
        arguments = [*base, *more, rows(ROWS // world)]
        return lambda: fits(arguments, world, apart, False, steps).seconds

    measures = {"one": one(1), "apart": one(2, apart=True)}
    measures |= {
        name: one(2, *layers, "--trainer.accelerator=cpu") for name, layers in STRATEGIES.items()
    }
    timings = bench.time("two processes", measures, "one", num_rounds=5, num_quick=1)
    for name in ("apart", *STRATEGIES):
        ratio = timings.ratio("one", name)
        goal = 0.0 if name == "apart" else 0.8 * timings.ratio("one", "apart").median
        bench.row(
            20,
            f"samples/s, two processes / one: {name}",
            ratio,
            goal,
            timings,
            limit=2.0,
            at_least=True,
        )
        bench.details[f"loss of {name}"] = 1 - ratio.median / 2


def communication(bench: Bench, base: list[str]) -> None:
    """Bytes that a rank sends in a step, counted."""
    for name, layers in STRATEGIES.items():
        arguments = [*base, *layers, "--trainer.accelerator=cpu", rows(ROWS // 2)]
        found: RankCost = fits(arguments, 2, False, True, 1)
        least, sent = minimum(found.gradients, 2), found.sent.ring_bytes(2)
        bench.details[f"sent by {name}"] = {
            "calls": dict(found.sent.calls),
            "whole": dict(found.sent.bytes),
            "bytes": sent,
            "least": least,
            "gradients": found.gradients,
        }
        bench.say(f"{name}: {sent / 1e6:.2f} MB a step, the least is {least / 1e6:.2f} MB")
        bench.row(
            20,
            f"bytes sent / 2 (n - 1) / n of gradients: {name}",
            sent / least,
            EXPECTED[name] * 1.02,
        )


if __name__ == "__main__":
    run("scaling", scaling, parts=("sent", "speed"))
