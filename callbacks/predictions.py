"""What `predict` returns, as JSON lines in the run folder."""

import json
from pathlib import Path
from typing import Any

import lightning as L
from typing_extensions import override


class JsonLines(L.Callback):
    """Appends the records of each predicted batch to `predictions.jsonl`, as they come.

    Records are dictionaries; batches of anything else are passed over. Ranks above 0 write
    `predictions.<rank>.jsonl`.

    Args:
        show: Number of records that are printed as well.
    """

    def __init__(self, show: int = 8):
        self.show = show
        self.shown = 0

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
        if not records or trainer.logger is None or not trainer.logger.log_dir:
            return
        with self._path(trainer).open("a") as file:
            file.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
        for record in records[: max(0, self.show - self.shown)]:
            trainer.print("".join(str(value) for value in record.values()), "\n", sep="\n")
        self.shown += len(records)

    @override
    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.shown:
            trainer.print(f"predictions  {self._path(trainer)}")

    @staticmethod
    def _path(trainer: L.Trainer) -> Path:
        assert trainer.logger is not None
        assert trainer.logger.log_dir
        name = "" if trainer.global_rank == 0 else f".{trainer.global_rank}"
        path = Path(trainer.logger.log_dir) / f"predictions{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
