"""When checkpoints are written."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override


class StepCheckpoints(ModelCheckpoint):
    """A checkpoint every so many optimizer steps, and one at the end; `last.ckpt` is the newest.

    Lightning's own leaves out what was trained after the last multiple. Where validation of the
    same step follows and `learns_in_validation` is true of the system, it is written again behind
    it: a kill while it validates loses no training. SIGTERM has one written at the end of the step
    that it meets; while it validates, the one before stays the newest.

    Args:
        every_n_steps: Optimizer steps between two checkpoints.
        keep: Number of newest checkpoints that are kept; -1 keeps all.
    """

    def __init__(self, every_n_steps: int = 500, keep: int = -1):
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
        if trainer.global_step % self._every_n_train_steps == 0:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        is_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        is_stale = self._last_global_step_saved == trainer.global_step and is_training
        if is_stale and getattr(pl_module, "learns_in_validation", False):
            self._save_checkpoint(trainer, self._last_checkpoint_saved)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, SIGTERMException) and trainer.training:
            self._save_newest(trainer)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_newest(trainer)

    def _save_newest(self, trainer: L.Trainer) -> None:
        if self._last_global_step_saved == trainer.global_step:
            return
        candidates = self._monitor_candidates(trainer)
        self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)
