"""Estimates what a config takes: memory, operations and time, without weights or GPUs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.plugins.precision import Precision

from engine.config.parser import refuse
from engine.estimate.changes import Change, changes
from engine.estimate.gpus import Gpu, gpu_named
from engine.estimate.paper import OnPaper, counted
from engine.estimate.rank_memory import PaperModel, RankLayout, StrategyName, on_rank, sent
from engine.estimate.report import LayoutRow, of_gpu, of_parameters, of_step, table
from engine.estimate.stand_ins import stand_in
from engine.estimate.strategies import STRATEGIES, with_strategy
from engine.estimate.timing import Pace
from engine.preflight.on_paper import impossible_anywhere
from engine.run.precision import HalfWeights

WORTH = 0.99
"""A change is worth naming where it leaves no more than this share of the memory."""
Build = Callable[[Namespace], tuple[L.LightningModule, Any]]
"""Makes the model and the data of a config."""


class RunEstimate:
    """Counts a config on paper, for strategies and numbers of GPUs."""

    summary = "memory, operations and time of a config on paper: which GPUs it fits on"

    def prepare(self, config: Namespace, build: Build) -> None:
        """Put what is not here by its shape, and the run itself on this CPU.

        Args:
            config: What was parsed; changed in place.
            build: Makes model and data of such a config.
        """
        self.asked = config.clone()
        self.folder = TemporaryDirectory()
        self.lines = stand_in(config, list(config.get("shapes") or []), Path(self.folder.name))
        self.check_options(config)
        config.trainer.accelerator, config.trainer.devices = "cpu", 1
        config.trainer.num_nodes, config.trainer.strategy = 1, "auto"
        config.trainer.logger = False
        config.trainer.precision = on_cpu(config.trainer.precision)
        self.config, self.build = config, build

    def check_options(self, config: Namespace) -> None:
        """Refuse options of the command that mean nothing."""
        gpu_named(config.gpu)
        for name in ("share", "reserve"):
            if not 0 <= config[name] <= 1 or (name == "share" and not config[name]):
                refuse(f"{name} must lie between 0 and 1, got {config[name]}")
        for count in [*listed(config.devices), config.node]:
            if count < 1:
                refuse(f"devices and node must be at least 1, got {count}")

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule | None = None,
        devices: int | list[int] = 8,
        strategy: StrategyName | None = None,
        gpu: str = "h100",
        share: float = 0.4,
        reserve: float = 0.1,
        node: int = 8,
        shapes: list[str] | None = None,
        suggest: bool = True,
    ) -> None:
        """Print what a config takes on paper, and what would make it fit.

        Nothing is allocated: parameters and batches have shapes and no values. A step of the
        system is run on them, and its bytes and operations are counted; sharding is arithmetic.

        Args:
            trainer: Of the config.
            model: The system.
            datamodule: The data; only the sizes of a batch are used where it can say them.
            devices: Number of GPUs, or a list of numbers.
            strategy: What shards the model; all that there are where None.
            gpu: Kind of GPU: a name out of the table of `engine/estimate/gpus.py`.
            share: Share of the GPU's rate that becomes model FLOPs.
            reserve: Share of the GPU's memory that is left for its context and for fragments.
            node: GPUs of a machine.
            shapes: Folders of NAME/config.json for models that are not here.
            suggest: Whether to look for changes that make a config fit.
        """
        paper = PaperTable(self, trainer, gpu_named(gpu), share, reserve, node)
        names = list(STRATEGIES) if strategy is None else [strategy]
        layouts = [RankLayout(name, n, node) for n in listed(devices) for name in names]
        if strategy is not None:
            reason = impossible_anywhere(with_strategy(self.asked, strategy))
            if reason:
                refuse(reason)
        print(of_gpu(gpu, paper.gpu, reserve))
        for line in [*self.lines, *paper.lines(model, datamodule, layouts, suggest)]:
            print(line, flush=True)


def listed(devices: int | list[int]) -> list[int]:
    """Numbers of GPUs as a list."""
    return devices if isinstance(devices, list) else [devices]


def on_cpu(precision: Any) -> Any:
    """A precision of the same sizes that a CPU has too."""
    text = str(precision)
    return text.replace("16-", "bf16-") if text.startswith("16-") else precision


class PaperTable:
    """A config, counted for all strategies; one that DeepSpeed holds in 16 bits is counted twice.

    Args:
        asked: The command, with the config and what builds it.
        trainer: Of the config.
        gpu: Which.
        share: Of its rate.
        reserve: Of its memory.
        node: GPUs of a machine.
    """

    def __init__(
        self,
        asked: RunEstimate,
        trainer: L.Trainer,
        gpu: Gpu,
        share: float,
        reserve: float,
        node: int,
    ):
        self.asked, self.trainer = asked, trainer
        self.gpu, self.share, self.node = gpu, share, node
        self.room = gpu.memory * (1 - reserve)

    def lines(
        self, model: L.LightningModule, data: Any, layouts: list[RankLayout], suggest: bool
    ) -> Iterator[str]:
        """Everything that is said."""
        found = counted(self.trainer, model, data, self.precision(self.asked.config))
        yield of_parameters(found.model.step.size)
        if found.fault:
            yield f"its step could not be run on paper, so activations do not count: {found.fault}"
        else:
            yield from of_step(self.pace(found), found.unit)
        rows = self.rows(found, self.asked.config, self.asked.asked, layouts)
        yield from table(rows, self.room)
        fitting = [f"{r.layout.strategy} on {r.layout.devices}" for r in rows if r.fits(self.room)]
        yield f"fits: {', '.join(fitting) or 'none of them'}"
        if suggest and not fitting and any(row.memory for row in rows):
            first = next(row for row in rows if row.memory)
            yield from self.suggestions(found, first)

    def pace(self, found: OnPaper) -> Pace:
        """How fast it trains."""
        steps = int(self.asked.config.get("trainer.max_steps", -1))
        micro = int(self.asked.config.get("trainer.accumulate_grad_batches") or 1)
        own = found.model.step, found.num_units, micro, steps
        return Pace(*own, self.gpu, self.share)

    def rows(
        self, found: OnPaper, config: Namespace, asked: Namespace, layouts: list[RankLayout]
    ) -> list[LayoutRow]:
        """A row of the table for every layout."""
        rows, half = [], None
        for layout in layouts:
            reason = impossible_anywhere(with_strategy(asked, layout.strategy))
            if reason:
                rows.append(LayoutRow(layout, refused=reason))
                continue
            model = found.model
            if layout.is_deepspeed and "16" in str(config.trainer.precision):
                half = half or self.half(found, config)
                model = half
            micro = int(config.get("trainer.accumulate_grad_batches") or 1)
            rows.append(LayoutRow(layout, on_rank(model, layout), sent(model, layout, micro)))
        return rows

    def half(self, found: OnPaper, config: Namespace) -> PaperModel:
        """The same as DeepSpeed holds it: weights and gradients in 16 bits."""
        if str(config.trainer.precision) == "bf16-true":
            return replace(found.model, is_half=True)
        model, data = self.asked.build(config)
        return counted(self.trainer, model, data, HalfWeights("bf16-true"), is_half=True).model

    def precision(self, config: Namespace) -> Precision:
        """The precision of a config, on the CPU."""
        if str(config.trainer.precision) == "bf16-true":
            return HalfWeights("bf16-true")
        return self.trainer.strategy.precision_plugin

    # What would make it fit

    def suggestions(self, found: OnPaper, first: LayoutRow) -> Iterator[str]:
        """Changes, each estimated before it is given."""
        assert first.memory is not None
        layout = first.layout
        config, asked = self.asked.config, self.asked.asked
        yield f"what would make it fit, instead of {layout.strategy} on {layout.devices}:"
        named = [RankLayout(name, layout.devices, self.node) for name in STRATEGIES]
        others = [one for one in named if one.strategy != layout.strategy]
        better = [row for row in self.rows(found, config, asked, others) if row.fits(self.room)]
        yield from (f"  {said(row, '')}" for row in better[:2])
        if not better:
            yield from self.larger(found, layout.devices)
        yield from self.edited(layout, first.memory.total)

    def larger(self, found: OnPaper, devices: int) -> Iterator[str]:
        """The least number of GPUs that is enough under FSDP2."""
        counts = [devices * 2**n for n in range(1, 8)]
        for count in counts:
            layout = RankLayout("fsdp2", count, self.node)
            [row] = self.rows(found, self.asked.config, self.asked.asked, [layout])
            if row.fits(self.room):
                yield f"  {said(row, '')}"
                return
        yield f"  more GPUs alone do not help: fsdp2 on {counts[-1]} does not fit either"

    def edited(self, layout: RankLayout, most: int) -> Iterator[str]:
        """Edits of the config that save memory; together, where none is enough alone."""
        config, asked, taken = self.asked.config, self.asked.asked, ""
        for change in changes(config):
            if change.strategies and layout.strategy not in change.strategies:
                continue
            edited = config.clone(), asked.clone()
            row = self.after(change, *edited, layout)
            if row is None or row.memory is None or row.memory.total > most * WORTH:
                continue
            config, asked = edited
            most = row.memory.total
            taken = f"{taken} {change.option}".strip()
            yield f"  {said(row, taken)}{'' if row.fits(self.room) else ', not yet'}"
            if row.fits(self.room):
                return

    def after(
        self, change: Change, config: Namespace, asked: Namespace, layout: RankLayout
    ) -> LayoutRow | None:
        """The row of a config after a change; None where nothing changes or it is refused."""
        if not change.edit(config):
            return None
        change.edit(asked)
        self.trainer.accumulate_grad_batches = config.get("trainer.accumulate_grad_batches") or 1
        try:
            model, data = self.asked.build(config)
            found = counted(self.trainer, model, data, self.precision(config))
        except (TypeError, ValueError):
            return None
        [row] = self.rows(found, config, asked, [layout])
        return row if row.memory is not None and not found.fault else None


def said(row: LayoutRow, options: str) -> str:
    """A row as a suggestion."""
    assert row.memory is not None
    where = f"{row.layout.strategy} on {row.layout.devices}"
    return f"{options or where}: {row.memory.total / 2**30:.2f} GiB a GPU"
