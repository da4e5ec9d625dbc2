"""What a test, validation or prediction found out, as files in the run folder."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
from PIL import Image
from typing_extensions import override

from engine.disk.strict_json import dumps
from engine.disk.whole import whole

COLOURS = 128
"""Of a picture; text and plain areas look no different with more."""

WIDTH = 13
"""Characters of the names on the terminal."""


@runtime_checkable
class FindsOut(Protocol):
    """A system that finds out more than quantities and records."""

    def findings(self) -> dict[str, Any]:
        """Contents of files by their names below the run folder.

        `.jsonl` and `.csv` hold dictionaries, a line each; those of a CSV have the same keys.
        `.png` holds a `PIL.Image`. Only rank 0 asks.
        """
        ...


class FindingFiles(L.Callback):
    """Writes the findings of a system after `validate`, `test` and `predict`, not while it trains.

    Each file is written whole or not at all.
    """

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, FindsOut):
            raise TypeError(f"{type(pl_module).__name__} has no findings()")

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._write(trainer, pl_module)

    @override
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer, pl_module)

    @override
    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        folder = trainer.log_dir if trainer.logger is not None else None  # all ranks hear rank 0's
        if not folder or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, FindsOut)
        for name, content in pl_module.findings().items():
            path = Path(folder) / name
            write(content, path)
            trainer.print(f"{Path(Path(name).parts[0]).stem:<{WIDTH}} {path}")


def write(content: Any, path: Path) -> None:
    """Write a file in the format that its name says."""
    with whole(path) as draft:
        if isinstance(content, Image.Image):
            content.quantize(COLOURS).save(draft, optimize=True)
        elif path.suffix == ".csv":
            draft.write_text(table(content), errors="backslashreplace")
        else:
            lines = "".join(dumps(row) + "\n" for row in content)
            draft.write_text(lines)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, under the keys of the first."""
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
