"""Cost of the matrix of detectors against its forward and backward passes alone.

A cell of `configs/detector/matrix.yaml` is trained and tested as the grid does it: reading the
config and the texts, choosing them, calibration, logs, checkpoint and scores. Its passes alone are
the same batches, built before the clock starts: forward and backward of every training step,
forward of every validation and test text. Tokenising happens once for all cells and counts once.

Cells are long, so rounds are few; the clock is the processor time of this process and one thread
computes, since other work on a shared machine takes longer than what is measured.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import torch

from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench, run
from benchmarks.claims.detectors.__main__ import QUICK, planned
from cli import main as entry_point
from engine.study.launch import finish
from engine.study.trial import Cell
from modules.classifier.loss import classification_loss
from modules.classifier.system import TextBatch, TextClassifier

GOAL = 1.2
DETECTOR = {"kind": "encoder", "trained_on": "pooled", "seed": "seed1"}
SHORT = {"trainer.max_steps": 20, "trainer.val_check_interval": 10}
"""Steps of a cell in a quick run; overheads then weigh more."""
ROUNDS = 3


def the_cell(folder: Path, cache: Path, quick: bool) -> tuple[Cell, int]:
    """The cell to measure, in a fresh folder, and the number of its kind in the matrix."""
    grid = planned(quick=False)
    grid.folder = folder
    grid.options["data.init_args.cache"] = str(cache)
    grid.commands = {name: grid.commands[name] for name in ("fit", "test")}
    if quick:
        grid.options.update(QUICK | SHORT)
    cells = [cell for cell in grid.cells() if cell.choices["kind"] == DETECTOR["kind"]]
    return next(cell for cell in cells if cell.choices == DETECTOR), len(cells)


class CellTimings:
    """One cell, as the grid runs it and as its passes alone.

    Args:
        cache: Folder of the tokenised texts.
        quick: Whether the cell is a short one.
    """

    def __init__(self, cache: Path, quick: bool):
        self.cache = cache
        self.quick = quick
        start = process_time()
        self.system, self.train, self.evaluated = self.batches()
        self.seconds_before = process_time() - start

    def batches(self) -> tuple[TextClassifier, list[TextBatch], list[TextBatch]]:
        """The network, and all batches of a cell in training and evaluation."""
        with TemporaryDirectory() as folder:
            cell, _ = the_cell(Path(folder), self.cache, self.quick)
            cell.prepare()
            built: Any = configured([*cell.configs, cell.config("fit")], "--trainer.logger=false")
        data, steps = built.datamodule, built.trainer.max_steps
        data.prepare_data()
        data.setup("fit")
        built.model.configure_model()
        checks = steps // built.trainer.val_check_interval
        evaluated = [*data.test_dataloader(), *(list(data.val_dataloader()) * checks)]
        epoch = list(data.train_dataloader())
        return built.model, list(islice(cycle(epoch), steps)), evaluated

    def cell_seconds(self) -> float:
        """Train and test the cell in a fresh folder; processor seconds."""
        with TemporaryDirectory() as folder:
            cell, _ = the_cell(Path(folder), self.cache, self.quick)
            start = process_time()
            cell.prepare()
            failure = finish(cell, entry_point, lambda line: None, "1/1")
            took = process_time() - start
        if failure:
            raise RuntimeError(str(failure))
        return took

    def passes_seconds(self) -> float:
        """Its forward and backward passes alone; processor seconds."""
        start = process_time()
        self.system.train()
        for batch in self.train:
            logits = self.system.logits(batch)
            classification_loss(logits, batch["label_N"], None).backward()
        self.system.zero_grad()
        self.system.eval()
        with torch.no_grad():
            for batch in self.evaluated:
                self.system.logits(batch)
        return process_time() - start


def padding(batches: Sequence[TextBatch]) -> float:
    """Share of the positions of some batches that is padding."""
    real = sum(int(batch["mask_WL"].sum()) for batch in batches)
    return 1 - real / sum(batch["mask_WL"].numel() for batch in batches)


def measure(bench: Bench) -> None:
    """The whole matrix / its forward and backward passes alone."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as cache:
        cold = CellTimings(Path(cache), bench.quick).seconds_before
        contest = CellTimings(Path(cache), bench.quick)
        once = cold - contest.seconds_before
        bench.say(f"tokenising all texts once: {once:.1f} s")
        measures = {"cell": contest.cell_seconds, "passes": contest.passes_seconds}
        timings = bench.time("cell", measures, "passes", ROUNDS, num_quick=1)
        _, num = the_cell(Path(cache), Path(cache), bench.quick)
    train, evaluated = padding(contest.train), padding(contest.evaluated)
    bench.say(f"padding: {train:.3f} of training, {evaluated:.3f} of evaluation")
    bench.details["cell"] |= {"tokenising": once, "cells": num, "padding": [train, evaluated]}
    cell, passes = timings.time("cell").median, timings.time("passes").median
    whole = (num * cell + once) / (num * passes)
    what = f"matrix of {num} encoders / its forward and backward passes"
    bench.row(6, what, whole, GOAL, timings, limit=1.0)
    bench.row(6, "one cell / its passes", timings.ratio("cell", "passes"), GOAL, timings, limit=1.0)
    bench.row(6, "share of evaluation that is padding", evaluated, 0.05)


if __name__ == "__main__":
    run("detector_matrix", measure)
