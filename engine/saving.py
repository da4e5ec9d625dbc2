"""When checkpoints are written."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override


class StepCheckpoints(ModelCheckpoint):
    """A checkpoint every so many optimizer steps, and one at the end; `last.ckpt` is the newest.

    Lightning's own leaves out what was trained after the last multiple.

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

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._last_global_step_saved == trainer.global_step:
            return
        candidates = self._monitor_candidates(trainer)
        self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)
