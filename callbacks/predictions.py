"""What `predict` returns, as JSON lines and PNG files in the run folder."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from typing_extensions import override

from callbacks.pictures import grid

LARGEST_GRID = 64
"""Pictures of a grid, at most."""
COLUMNS = 8
"""Squares in a row of it."""


class JsonLines(L.Callback):
    """Appends the records of each predicted batch to `predictions.jsonl`, as they come.

    Records are dictionaries; batches of anything else are passed over. A picture in a record (a
    uint8 tensor [H, W, 3], alone or in a list) becomes a file in `pictures/`, and its path stands
    in the record; so do bytes, whose key is the ending of their file. The first 64 pictures under
    the records' last keys make `pictures/grid.png` as well. Ranks above 0 write
    `predictions.<rank>.jsonl`.

    Args:
        show: Number of records that are printed as well.
        path: File that is appended to instead, such as one that an earlier run left half-finished;
            a last line that breaks off stays and gets its end.
    """

    def __init__(self, show: int = 8, path: str | None = None):
        self.show = show
        self.path = path
        self.shown = 0
        self.drawn: list[np.ndarray] = []
        self.run: Path | None = None

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        has_folder = trainer.logger is not None and trainer.log_dir  # all ranks hear rank 0's
        self.run = Path(str(trainer.log_dir)) if has_folder else None

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
        records = [r for r in outputs or [] if isinstance(r, dict)]
        if not records or self.run is None:
            return
        self.run.mkdir(parents=True, exist_ok=True)
        for number, record in enumerate(records, start=self.shown):
            self.drawn += pictures_in(list(record.values())[-1])
            path = self.run / "pictures" / f"{prefix(trainer)}{number:05d}"
            for key, value in record.items():
                record[key] = written(value, path.with_name(f"{path.name}_{key}"))
        del self.drawn[LARGEST_GRID:]
        file = self.file(trainer.global_rank)
        end_line(file)
        with file.open("a", encoding="utf-8") as opened:
            opened.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
        for record in records[: max(0, self.show - self.shown)]:
            trainer.print(line(record), "\n", sep="\n")
        self.shown += len(records)

    @override
    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.shown or self.run is None:
            return
        alike = [p for p in self.drawn if p.shape == self.drawn[0].shape]
        if len(alike) > 1:
            path = self.run / "pictures" / f"{prefix(trainer)}grid.png"
            height, width = alike[0].shape[:2]
            columns = max(1, COLUMNS * height // width)  # a clip, frame beside frame, fills a row
            grid(np.stack(alike), columns, scale=max(1, 96 // height)).save(path)
            trainer.print(f"pictures     {path}")
        trainer.print(f"predictions  {self.file(trainer.global_rank)}")

    def file(self, rank: int) -> Path:
        """Where the records of a rank go."""
        assert self.run is not None
        return jsonl(Path(self.path) if self.path else self.run / "predictions.jsonl", rank)


def prefix(trainer: L.Trainer) -> str:
    """What keeps the pictures of ranks apart."""
    return f"{trainer.global_rank}_" if trainer.world_size > 1 else ""


def jsonl(path: Path, rank: int) -> Path:
    """The file of a rank."""
    return path if rank == 0 else path.with_name(f"{path.stem}.{rank}{path.suffix}")


def end_line(path: Path) -> None:
    """Begin a new line in a file whose last one has no end, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")


def written(value: Any, path: Path) -> Any:
    """The value with every picture in it written to a file and replaced by the file's path.

    Args:
        value: Part of a record.
        path: Of the file, without its ending; a list adds the number of the place.
    """
    if isinstance(value, list):
        return [written(one, path.with_name(f"{path.name}_{i}")) for i, one in enumerate(value)]
    if not isinstance(value, torch.Tensor | bytes):
        return value
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        stem, _, ending = path.name.rpartition("_")
        file = path.with_name(f"{stem}.{ending}")
        file.write_bytes(value)
        return str(file)
    Image.fromarray(value.cpu().numpy()).save(path.with_suffix(".png"))
    return str(path.with_suffix(".png"))


def pictures_in(value: Any) -> list[np.ndarray]:
    """The pictures of a record's part, in order."""
    values = value if isinstance(value, list) else [value]
    return [one.cpu().numpy() for one in values if isinstance(one, torch.Tensor)]


def line(record: dict[str, Any]) -> str:
    """A record for people: a text and its continuation in one, parts of other kinds apart.

    Tables, which are lists of dictionaries, stand in the file alone.
    """
    if all(isinstance(value, str) for value in record.values()) and "id" not in record:
        return "".join(record.values())
    listed = [value if isinstance(value, list) else [value] for value in record.values()]
    shown = [parts for parts in listed if not any(map(is_table, parts))]
    return " | ".join(" ".join(map(str, parts)) for parts in shown)


def is_table(value: Any) -> bool:
    """Whether a value is a dictionary, or a list of them."""
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict)
