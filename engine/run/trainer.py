"""Lightning's Trainer, by whole optimizer steps."""

from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from engine.ranks.agreement import Ranks
from engine.run.interruption import Interrupted, Interruptions, Signals
from engine.run.monitors import Monitors
from engine.run.repeated import last_of_each
from engine.run.steps.finite import SoundSteps, refuse_non_finite
from engine.run.steps.whole import WholeSteps
from engine.run.weights import WeightsReport


class Trainer(L.Trainer):
    """Trains by whole optimizer steps: signals wait for them, and checkpoints hold them.

    Args:
        callbacks: What observes runs; of two of a kind that a run has one of, the last counts.
        max_skipped_steps: Steps in a row with a loss or gradient that is not finite, which are left
            out, that end the run.
        options: Those of Lightning's Trainer.
    """

    def __init__(
        self,
        *args: Any,
        callbacks: list[L.Callback] | L.Callback | None = None,
        max_skipped_steps: int = 5,
        **kwargs: Any,
    ):
        if max_skipped_steps < 1:
            raise ValueError(f"max_skipped_steps must be at least 1, got {max_skipped_steps}")
        listed = [callbacks] if isinstance(callbacks, L.Callback) else callbacks or []
        super().__init__(*args, callbacks=last_of_each(listed), **kwargs)
        self.ranks = Ranks()
        self.whole_steps = WholeSteps()
        self._signal_connector = self.signals = Signals(self)
        # a collective and a wait for the device in every batch; ours is one a step, on the CPU
        self.fit_loop.epoch_loop._broadcast_sigterm_tensor = nothing  # type: ignore[method-assign]
        kept: list[L.Callback] = self.callbacks  # type: ignore[attr-defined]
        kept[:0] = [self.whole_steps, Monitors()]
        kept += [SoundSteps(max_skipped_steps), Interruptions(self.signals, self.ranks)]

    weights: WeightsReport | None = None
    """Which weights a command line chose; None where it was not the command line that asked."""

    @property
    @override
    def received_sigterm(self) -> bool:
        """Never, for Lightning's loops: `Interruptions` ends them, on all ranks at one place."""
        return False

    @override
    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Save the last whole step, whoever asks for it and whenever; every rank must call.

        Raises:
            NotFiniteError: A weight is not finite.
        """
        if self.state.fn != TrainerFn.FITTING:
            super().save_checkpoint(filepath, weights_only, storage_options)
            return
        refuse_non_finite(self, self.ranks)
        with self.whole_steps.restored(self):
            super().save_checkpoint(filepath, weights_only, storage_options)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """A fault that a signal brought about, as where it ends the data's workers, is its end."""
        self.signals.noted = 0
        try:
            return super()._run(*args, **kwargs)
        except Exception as error:
            if self.signals.noted:
                raise Interrupted(self.signals.noted) from error
            raise


def nothing() -> None:
    """Do nothing; a name that other processes know as well."""
