"""A progress bar that costs nothing: it looks at the clock and seldom draws."""

from math import isfinite
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm
from typing_extensions import override

from engine.disk.bar import LINE_SECONDS, bar, has_terminal

SECONDS = 0.5
"""Between two drawings."""


class StepBar(ProgressBar):
    """Steps or batches done, their rate and the time left.

    Drawn on a terminal. Elsewhere, as in the log of a cluster, validation, test and predict print a
    line twice a minute; training has the lines of `Report`, which say the time left as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
        self.count: BatchCounter | None = None
        self.drawn = 0.0
        self.enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether it may be drawn; Lightning asks before it prints."""
        return self.enabled

    @override
    def disable(self) -> None:
        self.enabled = False

    @override
    def enable(self) -> None:
        self.enabled = True

    # Training

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.enabled and has_terminal():
            total = trainer.max_steps if trainer.max_steps > 0 else None
            step = trainer.global_step
            self.bar = bar(total, "step", start=step)

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.bar is None:
            return
        now = monotonic()
        if now - self.drawn > SECONDS:
            self.drawn = now
            self.bar.update(trainer.global_step - self.bar.n)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.bar is not None:
            self.bar.update(trainer.global_step - self.bar.n)
            self.bar.close()
            self.bar = None

    # Validation, test, predict

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, "validate", trainer.num_val_batches)

    @override
    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, "test", trainer.num_test_batches)

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, "predict", trainer.num_predict_batches)

    def _begin(self, trainer: L.Trainer, verb: str, batches: list[int | float]) -> None:
        if not self.enabled:
            return
        total = sum(batches)
        self.count = BatchCounter(
            verb, int(total) if isfinite(total) else None, self.bar is not None
        )
        if trainer.state.fn != "fit" and not self.count.is_drawn:
            self.print(self.count.text())

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        line = None if self.count is None else self.count.add()
        if line is not None:
            self.print(line)

    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.count is not None:
            self.count.close()
            self.count = None

    on_test_end = on_predict_end = on_validation_end

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal to the messages about the end."""
        self.on_validation_end(trainer, pl_module)
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @override
    def print(self, *args: Any, **kwargs: Any) -> None:
        text = " ".join(map(str, args))
        shown = self.bar if self.bar is not None or self.count is None else self.count.bar
        if shown is None:
            print(text, flush=True)
        elif self.enabled:
            shown.write(text)


class BatchCounter:
    """How many batches of an evaluation are done.

    Args:
        verb: What is done with them.
        total: How many there are, if that is known.
        is_inner: Whether another bar is drawn above this one.
    """

    def __init__(self, verb: str, total: int | None, is_inner: bool = False):
        self.verb, self.total = verb, total
        self.num = 0
        self.began = self.updated = monotonic()
        self.bar: tqdm[Any] | None = None
        if self.is_drawn:
            self.bar = bar(total, "batch", verb, leave=not is_inner)

    @property
    def is_drawn(self) -> bool:
        """Whether there is a terminal to draw on."""
        return has_terminal()

    def add(self) -> str | None:
        """Count a batch; a line where it is time for one."""
        self.num += 1
        now = monotonic()
        if now - self.updated < (LINE_SECONDS if self.bar is None else SECONDS):
            return None
        self.updated = now
        if self.bar is None:
            return self.text()
        self.bar.update(self.num - self.bar.n)
        return None

    def text(self) -> str:
        """The count, and the time left once there is a pace."""
        of = "" if self.total is None else f"/{self.total}"
        counted = f"{self.verb} {self.num}{of} batches"
        if not self.num or self.total is None or self.num >= self.total:
            return counted
        pace = (monotonic() - self.began) / self.num
        return f"{counted} · {duration(pace * (self.total - self.num))} left"

    def close(self) -> None:
        """End the drawing."""
        if self.bar is not None:
            self.bar.update(self.num - self.bar.n)
            self.bar.close()


def duration(seconds: float) -> str:
    """A time as people say it: 75 -> '1 min 15 s'."""
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for i, (name, size) in enumerate(units):
        if whole >= size and name != "s":
            below, part = units[i + 1]
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"
