"""What is drawn while a run trains: never the reason for which it ends."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch.nn.modules.module import register_module_forward_pre_hook
from typing_extensions import override


class StoppedError(Exception):
    """A drawing that was given up, since the run is to end."""


class ValidationSampling(L.Callback):
    """Draws something after every validation, with the weights that were validated.

    In training, failures are reported and counted, and the run continues; what is known
    to go wrong is refused before the first step. Any other command ends with the error.

    Attributes:
        num_failed: Drawings of this run that failed.
    """

    what = "drawing"
    """What is drawn, in one word."""

    def __init__(self) -> None:
        self.num_failed = 0
        self.loaded_step = 0

    @abstractmethod
    def draw(self, pl_module: L.LightningModule) -> Any:
        """Draw; every rank calls, since weights may be sharded."""

    @abstractmethod
    def write(self, drawn: Any, folder: Path, step: int) -> str:
        """Write what was drawn below a folder; returns what is reported of it."""

    def foresee(self, pl_module: L.LightningModule) -> None:
        """Refuse, before the first step, what cannot be drawn.

        Raises:
            ValueError: The reason.
        """

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.loaded_step = int(checkpoint.get("global_step", 0))

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.foresee(pl_module)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.logger is None:
            return
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw(trainer, pl_module, self.loaded_step)
            return
        step = trainer.global_step
        try:
            with stoppable(trainer):
                self._draw(trainer, pl_module, step)
        except StoppedError:
            trainer.print(f"step {step} {self.what}: left, the run is to end")
        except Exception as error:
            self.num_failed += 1
            trainer.print(
                f"step {step} {self.what} failed ({self.num_failed} in this run), training goes "
                f"on: {type(error).__name__}: {error}"
            )

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.num_failed:
            trainer.print(f"{self.num_failed} of this run's {self.what}s could not be drawn")

    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int) -> None:
        with torch.random.fork_rng():
            drawn = self.draw(pl_module)
        if trainer.is_global_zero and trainer.logger is not None and trainer.logger.log_dir:
            folder = Path(trainer.logger.log_dir) / "samples"
            folder.mkdir(parents=True, exist_ok=True)
            trainer.print(f"step {step} {self.what}: {self.write(drawn, folder, step)}")


@contextmanager
def stoppable(trainer: L.Trainer) -> Iterator[None]:
    """Within it, modules raise once the run is to end; not where ranks share weights."""
    signals = getattr(trainer, "signals", None)
    if signals is None or not isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
        yield
        return

    def look(module: torch.nn.Module, inputs: Any) -> None:
        if signals.noted:
            raise StoppedError

    hook = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()
