"""Small real runs through the front door, on one process or on several ranks."""

import csv
import json
import multiprocessing
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import yaml

from cli import main
from engine.messages import Refused

OPTIONS = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def saved_every(num_steps: int) -> str:
    """An argument: no callbacks but the report and checkpoints of every so many steps."""
    saving = {
        "class_path": "engine.saving.StepCheckpoints",
        "init_args": {"every_n_steps": num_steps},
    }
    return f"--trainer.callbacks={json.dumps([{'class_path': 'callbacks.report.Report'}, saving])}"


def write_config(folder: Path, text: Path, tokenizer: Path) -> Path:
    """A tiny language model on short lines, with dropout, so that randomness shows."""
    options = {**OPTIONS, "attention_dropout": 0.1}
    network = {
        "class_path": "modules.causal_lm.network.FromConfig",
        "init_args": {"options": options},
    }
    source = {
        "class_path": "datamodules.sources.PlainText",
        "init_args": {"path": str(text), "separator": "\n"},
    }
    config = {
        "model": {
            "class_path": "modules.causal_lm.system.CausalLM",
            "init_args": {
                "tokenizer": str(tokenizer),
                "network": network,
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
                "scheduler": {
                    "class_path": "engine.learning_rate.WarmupCosine",
                    "init_args": {"total_steps": 20, "warmup_steps": 2},
                },
                "generation": {"max_new_tokens": 8},
            },
        },
        "data": {
            "class_path": "datamodules.text.TextData",
            "init_args": {
                "tokenizer": str(tokenizer),
                "train": [source],
                "validate": [source],
                "row_length": 64,
                "batch_size": 4,
                "cache": str(folder / "cache"),
            },
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "max_steps": 4,
            "log_every_n_steps": 1,
            "logger": {
                "class_path": "engine.run.RunLogger",
                "init_args": {"root": str(folder / "runs"), "tensorboard": False},
            },
        },
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def newest_run(config: Path) -> Path:
    """The folder of the last run of a config."""
    runs = (config.parent.parent / "runs" / "tiny" / "lines").iterdir()
    return max(runs, key=lambda path: int(path.name))


def metrics(run: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv that hold a training loss."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) for k, v in row.items() if v} for row in rows if row.get("train/loss")]


@contextmanager
def refused(match: str) -> Iterator[pytest.ExceptionInfo[Refused]]:
    """Within it, a command must end with one line that fits a pattern, and exit code 2."""
    with pytest.raises(Refused) as end:
        yield end
    assert end.value.code == 2
    assert re.search(match, end.value.reason), end.value.reason


def fit(config: Path, *extra: str) -> Path:
    """Train and return the run folder."""
    main(["fit", f"--config={config}", *extra])
    return newest_run(config)


def losses(run: Path) -> list[float]:
    """The training loss of each step."""
    return [row["train/loss"] for row in metrics(run)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a run's last checkpoint."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def rank_main(rank: int, world: int, port: int, args: list[str], log: Path) -> None:
    """One rank, as torchrun would start it."""
    torch.set_num_threads(1)
    os.environ |= {
        "TOKENIZERS_PARALLELISM": "false",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    rank_zero_only.rank = rank
    with log.open("w", buffering=1) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        sys.stdout = sys.stderr = out  # pytest has put its own in their place
        main(args)


def start_on_ranks(config: Path, world: int, *extra: str) -> tuple[list[BaseProcess], list[Path]]:
    """Begin to train on several gloo ranks of this machine, forked: nothing is imported again."""
    args = ["fit", f"--config={config}", *extra, f"--trainer.devices={world}"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    logs = [config.parent / f"rank{rank}.log" for rank in range(world)]
    ranks: list[BaseProcess] = [
        context.Process(target=rank_main, args=(rank, world, port, args, logs[rank]))
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    return ranks, logs


def fit_on_ranks(config: Path, world: int, *extra: str) -> Path:
    """Train on several ranks and return the run folder."""
    codes, logs = ends_on_ranks(config, world, *extra)
    failed = [rank for rank, code in enumerate(codes) if code != 0]
    assert not failed, f"ranks {failed} failed:\n" + logs[failed[0]][-3000:]
    return newest_run(config)


def ends_on_ranks(config: Path, world: int, *extra: str) -> tuple[list[int | None], list[str]]:
    """Exit code of each rank of a training, and what it printed; those that hang are killed."""
    ranks, logs = start_on_ranks(config, world, *extra)
    for process in ranks:
        process.join(100)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    return codes, [log.read_text() for log in logs]
