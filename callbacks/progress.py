"""A progress bar that costs nothing: it looks at the clock and seldom draws."""

import sys
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm
from typing_extensions import override

SECONDS = 0.5
"""Between two drawings."""


class StepBar(ProgressBar):
    """Steps done, their rate and the time left; drawn on a terminal only."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
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

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.enabled and sys.stderr.isatty():
            total = trainer.max_steps if trainer.max_steps > 0 else None
            step = trainer.global_step
            self.bar = tqdm(total=total, initial=step, unit="step", dynamic_ncols=True)

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

    @override
    def print(self, *args: Any, **kwargs: Any) -> None:
        text = " ".join(map(str, args))
        if self.bar is None:
            print(text, flush=True)
        elif self.enabled:
            self.bar.write(text)
