"""What a test said of every text, as a table in the run folder."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
from typing_extensions import override

from engine.disk.whole import whole


@runtime_checkable
class Scoring(Protocol):
    """A system that says something of each text of a test."""

    def scores(self) -> dict[str, list[Any]]:
        """A column a name, all of the same length."""


class Scores(L.Callback):
    """Writes `scores.parquet` after a test.

    Raises:
        TypeError: The system scores no texts.
    """

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, Scoring):
            raise TypeError(f"{type(pl_module).__name__} has no scores()")

    @override
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        folder = trainer.log_dir if trainer.logger is not None else None  # all ranks hear rank 0's
        if not folder or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Scoring)
        path = Path(folder) / "scores.parquet"
        write_table(pl_module.scores(), path)
        trainer.print(f"scores       {path}")


def write_table(columns: dict[str, list[Any]], path: Path) -> None:
    """Write a Parquet file, all or nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole(path) as draft:
        pq.write_table(pa.table(columns), draft)
