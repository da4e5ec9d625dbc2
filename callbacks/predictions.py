"""What `predict` returns, as JSON lines and PNG files in the run folder."""

import re
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from typing_extensions import override

from callbacks.images import grid
from callbacks.records import images_in, line, records_of, written
from engine.disk.jsonl import append, mend

LARGEST_GRID = 64
"""Images of a grid, at most."""
COLUMNS = 8
"""Squares in a row of it."""


class JsonLines(L.Callback):
    """Appends the records of each predicted batch to `predictions.jsonl`, as they come.

    A record is a dictionary; whatever else `predict_step` returns becomes one a sample, as
    `callbacks.records.records_of` says. Lines are strict JSON (`engine.disk.strict_json`) of
    every kind of value: NaN and the infinities are null. An image in a record (a uint8 tensor
    [H, W, 3] or [H, W], alone or in a list) becomes a file in `images/`, and its path stands in
    the record; so do bytes, whose key is the ending of their file. The first 64 images under the
    records' last keys make `images/grid.png` as well. Ranks above 0 write
    `predictions.<rank>.jsonl`.

    Args:
        show: Number of records that are printed as well.
        path: File that is appended to instead, such as one that an earlier run left unfinished;
            an incomplete last line is removed, from the files of ranks as well.
    """

    def __init__(self, show: int = 8, path: str | None = None):
        self.show = show
        self.path = path
        self.shown = 0
        self.drawn: list[np.ndarray] = []
        self.run: Path | None = None
        self.is_mended = False

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        has_folder = trainer.logger is not None and trainer.log_dir  # all ranks hear rank 0's
        self.run = Path(str(trainer.log_dir)) if has_folder else None
        self.is_mended = False

    @override
    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        records = [dict(record) for record in records_of(outputs)]
        if not records or self.run is None:
            return
        self.run.mkdir(parents=True, exist_ok=True)
        for number, record in enumerate(records, start=self.shown):
            self.drawn += images_in(list(record.values())[-1]) if record else []
            path = self.run / "images" / f"{prefix(trainer)}{number:05d}"
            for key, value in list(record.items()):
                record[key] = written(value, path.with_name(f"{path.name}_{key}"))
        del self.drawn[LARGEST_GRID:]
        file = self.file(trainer.global_rank)
        self._mend(trainer, file)
        append(file, records)
        for record in records[: max(0, self.show - self.shown)]:
            trainer.print(line(record), end="\n\n")
        self.shown += len(records)

    @override
    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.shown or self.run is None:
            return
        colour = [as_colour(image) for image in self.drawn]
        alike = [p for p in colour if p.shape == colour[0].shape]
        if len(alike) > 1:
            path = self.run / "images" / f"{prefix(trainer)}grid.png"
            height, width = alike[0].shape[:2]
            columns = max(1, COLUMNS * height // width)  # a clip, frame next to frame, fills a row
            grid(np.stack(alike), columns, scale=max(1, 96 // height)).save(path)
            trainer.print(f"images       {path}")
        trainer.print(f"predictions  {self.file(trainer.global_rank)}")

    def _mend(self, trainer: L.Trainer, file: Path) -> None:
        """Before the first line: leave whole lines only, also in files of ranks of earlier runs."""
        if self.is_mended:
            return
        self.is_mended = True
        mend(file)
        if trainer.global_rank == 0:
            for left in left_by_ranks(file, trainer.world_size):
                mend(left)

    def file(self, rank: int) -> Path:
        """Where the records of a rank go."""
        assert self.run is not None
        return jsonl(Path(self.path) if self.path else self.run / "predictions.jsonl", rank)


def as_colour(image: np.ndarray) -> np.ndarray:
    """An image of three channels."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def prefix(trainer: L.Trainer) -> str:
    """Prefix that keeps the images of ranks apart."""
    return f"{trainer.global_rank}_" if trainer.world_size > 1 else ""


def jsonl(path: Path, rank: int) -> Path:
    """The file of a rank."""
    return path if rank == 0 else path.with_name(f"{path.stem}.{rank}{path.suffix}")


def left_by_ranks(path: Path, num_ranks: int) -> list[Path]:
    """Files that an earlier run of more ranks left next to rank 0's, which nobody continues."""
    siblings = path.parent.iterdir() if path.parent.is_dir() else ()
    named = re.compile(rf"{re.escape(path.stem)}\.(\d+){re.escape(path.suffix)}")
    found = ((one, named.fullmatch(one.name)) for one in siblings)
    return [one for one, rank in found if rank and int(rank[1]) >= num_ranks]
