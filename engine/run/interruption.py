"""SIGTERM and Ctrl-C: noted when they come, answered where all ranks meet.

A signal may find any rank anywhere, in a collective or within an optimizer step. Its handler only
takes note. At the end of each whole step, and of each batch of a validation, the ranks ask one
another; if any of them gets the signal, all of them stop, and the last whole step is saved.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from engine.ranks.agreement import Ranks
from engine.ranks.orphans import watch_launcher
from engine.run.steps.whole import ends_step

STOPS = (signal.SIGINT, signal.SIGTERM)
REQUEUE = 256
"""Stands for Slurm's signal among the numbers of the others, which are smaller."""
PATIENCE = 3
"""How often Ctrl-C must be pressed to stop within a step."""


class Interrupted(SIGTERMException):
    """A run that a signal ended; the exit code is 128 and its number, 143 or 130.

    Attributes:
        signal_name: Name of the signal.
        is_agreed: Whether every rank raises it, at the same place.
    """

    def __init__(self, signum: int, is_agreed: bool = False):
        super().__init__(128 + signum)
        self.signal_name = signal.Signals(signum).name
        self.is_agreed = is_agreed


@contextmanager
def sigterm_raised() -> Iterator[None]:
    """Within it, SIGTERM raises `Interrupted` where nobody else listens; else it ends unsaid.

    A training listens only once its data and model are there. Processes that are forked meanwhile
    end as they would have.
    """
    owner, signum = os.getpid(), signal.SIGTERM
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signum) is not signal.SIG_DFL:
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Interrupted(signum)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    signal.signal(signum, end)
    try:
        yield
    finally:
        signal.signal(signum, signal.SIG_DFL)


def signal_behind(error: BaseException) -> str | None:
    """Name of the signal that ended a run; None where an error did, or a call of sys.exit."""
    if isinstance(error, SIGTERMException):
        return str(getattr(error, "signal_name", signal.SIGTERM.name))
    is_exit = isinstance(error, SystemExit)  # Lightning makes one of Ctrl-C
    pressed = isinstance(error.__context__ if is_exit else error, KeyboardInterrupt)
    return signal.SIGINT.name if pressed else None


class Signals(_SignalConnector):
    """Takes note of signals while a run trains; any other command ends at once.

    Attributes:
        noted: Number of the signal that ends the run, 0 where none came.
        asks_to_requeue: Whether Slurm is about to end the job.
    """

    def __init__(self, trainer: L.Trainer):
        super().__init__(trainer)
        self.noted = 0
        self.num_presses = 0
        self.asks_to_requeue = False
        self.before: dict[int, Any] = {}

    @override
    def register_signal_handlers(self) -> None:
        self.noted, self.num_presses, self.asks_to_requeue, self.before = 0, 0, False, {}
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in STOPS:
            self.before[signum] = signal.signal(signum, self.note)
        environment = self.trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
            signum = environment.requeue_signal or signal.SIGUSR1
            if not self._has_already_handler(signum):
                self.before[signum] = signal.signal(signum, self.note_requeue)

    @override
    def teardown(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self.before = {}

    def note(self, signum: int, frame: FrameType | None) -> None:
        """Remember that the run is to end."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            raise Interrupted(signum)
        self.noted = max(self.noted, signum)
        if signum == signal.SIGINT:
            self.num_presses += 1
            if self.num_presses >= PATIENCE:
                raise KeyboardInterrupt
            with suppress(OSError):  # print is not safe in a handler
                os.write(2, b"\nstopping at the end of this step; three times stops at once\n")
            return
        earlier = self.before.get(signum)
        if callable(earlier):
            with suppress(BaseException):  # it may want to end the process; the run does that
                earlier(signum, frame)

    def note_requeue(self, signum: int, frame: FrameType | None) -> None:
        """Remember that Slurm wants the job to be saved and queued again."""
        self.asks_to_requeue = True

    def requeue(self) -> None:
        """Do what Lightning does on that signal, outside of its handler."""
        self.asks_to_requeue = False
        self._slurm_sigusr_handler_fn(signal.SIGUSR1, None)  # type: ignore[arg-type]

    @override
    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"before": {}}


class Interruptions(L.Callback):
    """Asks all ranks whether to stop; must be the last of all callbacks.

    Raises:
        Interrupted: A rank got the signal; raised on every rank at the same point.
    """

    def __init__(self, signals: Signals, ranks: Ranks):
        self.signals = signals
        self.ranks = ranks
        self.num_common = 0

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        watch_launcher(trainer)
        if stage == "fit":
            self.ranks.connect()

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let accumulation be what a schedule says; Lightning asks it at an epoch's start only."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, GradientAccumulationScheduler):
                epoch = trainer.current_epoch
                trainer.accumulate_grad_batches = callback.get_accumulate_grad_batches(epoch)

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if ends_step(trainer):
            self.ask()

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:  # ranks may have unequal numbers of batches
            batches = [min(number, 2**31) for number in trainer.num_val_batches]
            self.num_common = self.ranks.least(int(sum(batches)))
            self.num_seen = 0

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.num_seen += 1
            if self.num_seen <= self.num_common:
                self.ask()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.ask()

    def ask(self) -> None:
        """Stop if any rank got the signal; every rank must call."""
        requeue = REQUEUE if self.signals.asks_to_requeue else 0
        signum = self.ranks.greatest(self.signals.noted + requeue)
        if signum >= REQUEUE:
            self.signals.requeue()
            signum -= REQUEUE
        if signum:
            self.let_children_finish()
            raise Interrupted(signum, is_agreed=True)

    def let_children_finish(self) -> None:
        """Keep Lightning's launcher from killing us as soon as the first of its ranks has ended."""
        launcher = self.signals.trainer.strategy.launcher
        getattr(launcher, "procs", []).clear()


def is_agreed(error: BaseException) -> bool:
    """Whether every rank raises an error, at the same place."""
    return bool(getattr(error, "is_agreed", False))
