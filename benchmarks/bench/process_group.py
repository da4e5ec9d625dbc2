"""Fits on ranks of this machine, forked from a process that has imported everything already."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import lightning as L
import torch
from typing_extensions import override

from benchmarks.bench.collectives import Sent, sent_in


@dataclass(frozen=True)
class RankCost:
    """What a step cost a rank.

    Attributes:
        seconds: Of a step, on average.
        sent: What collectives moved in one step, where it was counted.
        gradients: Bytes of the gradients of all trained parameters.
    """

    seconds: float
    sent: Sent
    gradients: int


class StepWatch(L.Callback):
    """Times the steps after the first ones, and counts what the last one sends.

    Args:
        num_warm: Steps that are not timed.
        num_steps: Steps that are.
        counts: Whether one more step is profiled.
    """

    def __init__(self, num_warm: int, num_steps: int, counts: bool):
        self.num_warm, self.num_steps, self.counts = num_warm, num_steps, counts
        self.start = self.seconds = 0.0
        self.sent = Sent()
        self.profile: Any = None

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.num_warm:
            self.start = perf_counter()
        if self.counts and trainer.global_step == self.num_warm + self.num_steps:
            activities = [torch.profiler.ProfilerActivity.CPU]
            self.profile = torch.profiler.profile(activities=activities, record_shapes=True)
            self.profile.start()

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.num_warm + self.num_steps:
            self.seconds = (perf_counter() - self.start) / self.num_steps
        if self.profile is not None:
            self.profile.stop()
            self.sent = sent_in(self.profile.events(), trainer.world_size)
            self.profile = None


def gradient_bytes(module: torch.nn.Module) -> int:
    """Bytes of all gradients in single precision."""
    trained = (p for p in module.parameters() if p.requires_grad)
    return sum(4 * getattr(p, "ds_numel", p.numel()) for p in trained)


def fits(arguments: Sequence[str], world: int, apart: bool, counts: bool, steps: int) -> RankCost:
    """Train on several ranks of this machine, and return what the first found.

    Args:
        arguments: Of `configured`: configs first, then overrides.
        world: Number of processes.
        apart: Whether they know nothing of one another.
        counts: Whether to count what is sent.
        steps: Steps to time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ends = [context.Pipe(duplex=False) for _ in range(world)]
    ranks = [
        context.Process(
            target=rank_main,
            args=(ends[rank][1], list(arguments), rank, world, port, apart, counts, steps),
        )
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    for _, sender in ends:
        sender.close()
    try:
        found: list[RankCost] = [receiver.recv() for receiver, _ in ends]
    except EOFError as error:
        raise RuntimeError(f"a rank of {' '.join(arguments)} failed; it has said why") from error
    finally:
        for process in ranks:
            process.join(30)
            process.kill()
    slowest = max(found, key=lambda one: one.seconds)
    return RankCost(slowest.seconds, found[0].sent, found[0].gradients)


def rank_main(
    sender: Connection,
    arguments: list[str],
    rank: int,
    world: int,
    port: int,
    apart: bool,
    counts: bool,
    steps: int,
) -> None:
    """One rank; sends what it measured."""
    from benchmarks.bench.from_config import configured

    torch.set_num_threads(1)
    sys.stdout = open(os.devnull, "w")
    if not apart:
        places = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "MASTER_PORT": port}
        places |= {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ |= {name: str(value) for name, value in places.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "benchmark"}
    configs = [one for one in arguments if not one.startswith("--")]
    overrides = [one for one in arguments if one.startswith("--")]
    warm, devices = 3, 1 if apart else world
    total = f"--trainer.max_steps={warm + steps + int(counts)}"
    what = configured(configs, *overrides, total, f"--trainer.devices={devices}")
    watch = StepWatch(warm, steps, counts)
    what.trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    what.trainer.fit(what.model, what.datamodule)
    sender.send(RankCost(watch.seconds, watch.sent, gradient_bytes(what.model)))
    sender.close()
