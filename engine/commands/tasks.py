"""Writes the test sets of a config as tasks of another evaluation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L

from engine.config.origins import refuse_remote


@runtime_checkable
class HasTestSets(Protocol):
    """Data whose test sets can be asked elsewhere."""

    def export_tasks(self, folder: Path, prompt: str, max_new_tokens: int) -> Iterator[str]:
        """Write the test sets; yields lines to show."""


class Tasks:
    """Writes the test sets of a config as tasks of the lm-evaluation-harness."""

    summary = "write the test sets of a config as tasks of the lm-evaluation-harness"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        prompt: str = "{question}",
        max_new_tokens: int = 256,
    ) -> None:
        """Write the test sets of a config, with its checker, as tasks of the lm-evaluation-harness.

        No weights are read.

        Args:
            trainer: Of the config; its first rank writes.
            model: Of the config; not used.
            datamodule: The data, with test sets.
            folder: Where to write what `lm_eval` takes as `--include_path`.
            prompt: What a question becomes; names in braces are its fields.
            max_new_tokens: Greatest length of an answer.

        Raises:
            TypeError: The data have no test sets that are asked in words.
        """
        if not isinstance(datamodule, HasTestSets):
            raise TypeError(f"{type(datamodule).__name__} has no test sets: no export_tasks()")
        refuse_remote(folder, "folder")
        if trainer.is_global_zero:
            for line in datamodule.export_tasks(Path(folder), prompt, max_new_tokens):
                trainer.print(line)
