"""Samples answers of a model, and writes the right ones to tune on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L

from engine.commands.export import connect, load_on_device
from engine.config.origins import refuse_remote


@runtime_checkable
class RejectionSampler(Protocol):
    """A system that can judge answers of its own."""

    def rejection_sample(self, datamodule: Any, folder: Path, right: float) -> Iterator[str]:
        """Answer the questions of the data, and write the answers; yields lines to show."""


class SampleAnswers:
    """Samples answers of a model, and writes the right ones to tune on."""

    summary = "sample answers of a model, and write the right ones to tune on"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        right: float = 1.0,
        ckpt_path: str | None = None,
        ema: bool = True,
    ) -> None:
        """Sample answers to the questions of predict, and write all, the right ones, and pairs.

        Every rank holds all weights, also where the strategy would shard them in a training.

        Args:
            trainer: Of the config: device, precision and ranks.
            model: The system, which answers and judges.
            datamodule: The data, with questions of predict.
            folder: Where to write `answers.jsonl`, `instructions.jsonl` and `preferences.jsonl`.
            right: The least reward of a right answer.
            ckpt_path: A checkpoint to answer with; without one, the weights of the config.
            ema: Whether averaged weights count where the checkpoint holds them.

        Raises:
            TypeError: The system judges nothing.
            ValueError: The weights are untrained, and that is not meant.
        """
        if not isinstance(model, RejectionSampler):
            raise TypeError(f"{type(model).__name__} judges no answers: no rejection_sample()")
        refuse_remote(folder, "folder")
        connect(trainer, model)
        datamodule.trainer = trainer
        datamodule.prepare_data()
        datamodule.setup("predict")
        source = load_on_device(trainer, model, ckpt_path, ema)
        trainer.print(f"sampling with {source}")
        for line in model.rejection_sample(datamodule, Path(folder), right):
            trainer.print(line)
