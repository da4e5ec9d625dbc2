"""Selects training documents that support a task."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L

from engine.commands.export import connect, load_on_device
from engine.config.origins import refuse_remote


@runtime_checkable
class Selecting(Protocol):
    """A system that can select documents."""

    def select(self, datamodule: Any, folder: Path) -> Iterator[str]:
        """Select from the pool of the data; yields lines to show."""


class Select:
    """Selects the documents of a pool that support a task."""

    summary = "select the documents of a pool that support a task"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        ckpt_path: str | None = None,
        ema: bool = True,
    ) -> None:
        """Select the documents of a pool that support a task, and write their ids and scores.

        A selection that was stopped goes on where it was, in the same folder. Every rank holds all
        weights, also where the strategy would shard them in a training.

        Args:
            trainer: Of the config: device, precision and ranks.
            model: The system, whose network the gradients are of.
            datamodule: The data, with a pool and a task.
            folder: Where to write `scores.parquet` and `selected.parquet`.
            ckpt_path: A checkpoint to start from; without one, the weights of the config.
            ema: Whether averaged weights count where the checkpoint holds them.

        Raises:
            TypeError: The system selects nothing.
            ValueError: The weights are untrained, and that is not meant.
        """
        if not isinstance(model, Selecting):
            raise TypeError(f"{type(model).__name__} selects no documents: it has no select()")
        refuse_remote(folder, "folder")
        connect(trainer, model)
        source = load_on_device(trainer, model, ckpt_path, ema)
        trainer.print(f"selecting with {source}")
        for line in model.select(datamodule, Path(folder)):
            trainer.print(line)
