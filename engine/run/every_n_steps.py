"""When checkpoints are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from typing_extensions import override

from engine.ranks.messages import print_once
from engine.run.interruption import is_agreed, signal_behind
from engine.run.steps.whole import ends_step


class StepCheckpoints(ModelCheckpoint):
    """A checkpoint every N optimizer steps, and one at the end; `last.ckpt` is the newest.

    Lightning's own leaves out what was trained after the last multiple. Where validation of the
    same step follows and `learns_in_validation` is true of the system, it is written again after
    it: a kill while it validates loses no training. Whatever ends a run, a signal or an error, the
    last whole optimizer step is saved if it can be, and a line says where.

    Args:
        every_n_steps: Optimizer steps between two checkpoints.
        keep: Number of newest checkpoints that are kept; -1 keeps all.
    """

    def __init__(self, every_n_steps: int = 500, keep: int = -1):
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}")
        if keep == 0 or keep < -1:
            raise ValueError(f"keep must be positive, or -1 for all, got {keep}")
        newest: dict[str, Any] = {} if keep == -1 else {"monitor": "step", "mode": "max"}
        super().__init__(
            filename="step_{step:07d}",
            auto_insert_metric_name=False,
            every_n_train_steps=every_n_steps,
            save_top_k=keep,
            save_last="link",
            **newest,
        )

    @property
    @override
    def state_key(self) -> str:
        """Lightning asks for it at every hook, and its own is slow to put together."""
        return "StepCheckpoints"

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step % self._every_n_train_steps == 0 and ends_step(trainer):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        is_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        is_stale = self._last_global_step_saved == trainer.global_step and is_training
        if is_stale and getattr(pl_module, "learns_in_validation", False) and ends_step(trainer):
            self._save_checkpoint(trainer, self._last_checkpoint_saved)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing: steps are what counts."""

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save the last whole step, if all ranks can, and say where it is."""
        is_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        if trainer.fast_dev_run or not is_training or not hasattr(trainer, "whole_steps"):  # type: ignore[attr-defined]
            return
        cause = signal_behind(exception) or type(exception).__name__
        where = self._rescue(trainer, exception)
        if where and trainer.is_global_zero:
            print(f"{cause} ended the run; {where}", flush=True)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._save_newest(trainer)

    @staticmethod
    @override
    def _link_checkpoint(trainer: L.Trainer, filepath: str, linkpath: str) -> None:
        """Link to a checkpoint when it is there, which may be later."""
        once_saved = getattr(trainer.strategy, "once_saved", None)
        if once_saved is None:
            ModelCheckpoint._link_checkpoint(trainer, filepath, linkpath)
            return
        if trainer.is_global_zero:
            once_saved(partial(link, Path(filepath), Path(linkpath)))
        trainer.strategy.barrier()

    def _settle(self, trainer: L.Trainer) -> None:
        """Wait for a checkpoint that is being written; one that cannot be written is forgotten.

        Raises:
            OSError: It could not be written.
        """
        try:
            getattr(trainer.strategy, "finish_saves", nothing)()
        finally:
            if self._last_checkpoint_saved and not os.path.exists(self._last_checkpoint_saved):
                self._last_global_step_saved, self._last_checkpoint_saved = 0, ""

    def _save_newest(self, trainer: L.Trainer) -> None:
        if self._last_global_step_saved == trainer.global_step:
            return
        candidates = self._monitor_candidates(trainer)
        self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)

    def _rescue(self, trainer: Any, exception: BaseException) -> str:
        """What became of the last whole step, in words; nothing where no step was taken."""
        whole = trainer.whole_steps
        try:
            self._settle(trainer)
        except OSError as error:
            print_once(str(error))
        if whole.step < 0:
            return "" if isinstance(exception, Exception) else "no step had been trained"
        if self._last_global_step_saved == whole.step:
            return f"step {whole.step} is in {self._last_checkpoint_saved}"
        newest = self._last_checkpoint_saved or "none"
        if not whole.can_be_saved(trainer):
            return f"it lies within an optimizer step, so the newest checkpoint stays: {newest}"
        together = is_agreed(exception) or trainer.ranks.all_come(f"rescue of step {whole.step}")
        if not together and not (is_replicated(trainer) and trainer.is_global_zero):
            return f"not all ranks can save it, so the newest checkpoint stays: {newest}"
        try:
            with nullcontext() if together else alone(trainer), whole.restored(trainer, True):
                self._save_newest(trainer)
                self._settle(trainer)
        except Exception as error:  # must not hide the reason of the end
            return (
                f"step {whole.step} could not be saved, the newest checkpoint is {newest}: {error}"
            )
        return f"step {whole.step} is saved in {self._last_checkpoint_saved}"


def nothing() -> None:
    """What strategies have to finish that save at once."""


def link(checkpoint: Path, name: Path) -> None:
    """Have a link lead to a checkpoint; at every moment it leads to the old one or to the new."""
    draft = name.with_name(f".{name.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(checkpoint, name.parent))
    draft.replace(name)


def is_replicated(trainer: Any) -> bool:
    """Whether the first rank holds everything that a checkpoint does."""
    is_sharded = isinstance(trainer.strategy, DeepSpeedStrategy)  # though it descends from DDP
    return not is_sharded and isinstance(trainer.strategy, (DDPStrategy, SingleDeviceStrategy))


@contextmanager
def alone(trainer: Any) -> Iterator[None]:
    """Within it, this rank waits for no other."""
    strategy = trainer.strategy
    strategy.barrier = lambda *args, **kwargs: None
    strategy.broadcast = lambda value, src=0: value
    strategy.reduce_boolean_decision = lambda decision, all=True: decision
    trainer.ranks.alone = True
    try:
        yield
    finally:
        del strategy.barrier, strategy.broadcast, strategy.reduce_boolean_decision
        trainer.ranks.alone = False
