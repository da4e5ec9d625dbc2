"""The state of a run at the end of its last whole optimizer step: the only one worth keeping.

Weights and optimizer change at the end of a step, but the counters of the loops and the position in
the data move with every batch. What is saved in between takes the counters of the last whole step,
as if the batches after it had not been read: a resumed run reads them again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning as L
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.loops.progress import _BaseProgress
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override


@runtime_checkable
class Rewindable(Protocol):
    """A loader that can report an earlier position as its own."""

    def state_dict(self) -> dict[str, int]:
        """Where it is."""

    def pretend(self, state_dict: dict[str, int] | None) -> None:
        """Report this position from now on; None ends it."""


class Counters(NamedTuple):
    """Numbers of one object of Lightning's loops.

    Attributes:
        owner: The object.
        names: Of its attributes.
        read: Reads them.
    """

    owner: Any
    names: tuple[str, ...]
    read: Callable[[Any], Any]


class WholeSteps(L.Callback):
    """Remembers the counters of the last whole step; must be the first of all callbacks.

    Attributes:
        step: Optimizer steps at that moment; -1 before the first step of this process.
        loaded_step: Optimizer steps of the weights that were loaded; 0 where none were.
        is_within: Whether an optimizer is just changing the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step = -1
        self.loaded_step = 0
        self.is_within = False
        self._counters: list[Counters] = []
        self._values: list[Any] = []
        self._loaders: list[Rewindable] = []
        self._positions: list[dict[str, int]] = []
        self._batches = -1

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.loaded_step = int(checkpoint.get("global_step", 0))
        if trainer.state.fn == TrainerFn.FITTING and 0 <= trainer.max_steps < self.loaded_step:
            raise ValueError(
                f"{trainer.ckpt_path} is the checkpoint of step {self.loaded_step}, and "
                f"trainer.max_steps is {trainer.max_steps}: nothing is left to train"
            )

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.step, self.is_within = -1, False
        self._counters = list(counters(trainer.fit_loop))
        combined = trainer.fit_loop._combined_loader
        loaders = [] if combined is None else combined.flattened
        self._loaders = [loader for loader in loaders if isinstance(loader, Rewindable)]

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        self.is_within = True

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
            self.is_within = False
            self.step = trainer.global_step
            self._batches = num_batches(trainer)
            self._values = [one.read(one.owner) for one in self._counters]
            self._positions = [loader.state_dict() for loader in self._loaders]

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say of a fit that trained nothing why it did not.

        Raises:
            ValueError: The training data give no batch.
        """
        if self.step >= 0 or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.fit_loop.max_batches == 0:
            raise ValueError(
                "nothing was trained: the training data give no batch, or "
                f"trainer.limit_train_batches, {trainer.limit_train_batches}, leaves none of them"
            )
        trainer.print(
            f"nothing was left to train: the weights are those of step {self.loaded_step}, "
            f"trainer.max_steps is {trainer.max_steps}, trainer.max_epochs {trainer.max_epochs}"
        )

    def can_be_saved(self, trainer: L.Trainer) -> bool:
        """Whether weights and optimizer are those of the last whole step."""
        return self.step > 0 and not self.is_within and trainer.global_step == self.step

    @contextmanager
    def restored(self, trainer: L.Trainer, at_once: bool = False) -> Iterator[None]:
        """Within it, counters and loaders say what they said at the end of the last whole step.

        Args:
            trainer: The run.
            at_once: Whether also where no batch has been read since, but a validation or the end
                of an epoch may be half done.
        """
        has_gone_on = num_batches(trainer) > self._batches
        if not self.can_be_saved(trainer) or not (has_gone_on or at_once):
            yield
            return
        now = [one.read(one.owner) for one in self._counters]
        self._set(self._values, self._positions)
        try:
            yield
        finally:
            self._set(now, [None] * len(self._loaders))

    def _set(self, values: list[Any], positions: list[Any]) -> None:
        for one, value in zip(self._counters, values, strict=True):
            for name, number in zip(one.names, value, strict=True):
                setattr(one.owner, name, number)
        for loader, position in zip(self._loaders, positions, strict=True):
            loader.pretend(position)


def ends_step(trainer: L.Trainer) -> bool:
    """Whether the batch at hand is the last one of an optimizer step."""
    return not trainer.fit_loop._should_accumulate()


def num_batches(trainer: L.Trainer) -> int:
    """Batches that were begun since the run began."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.total.ready)


def counters(loop: _Loop) -> Iterator[Counters]:
    """All numbers of a loop that a checkpoint holds, and those of the loops inside."""
    if hasattr(loop, "_batches_that_stepped"):
        yield of(loop, ["_batches_that_stepped", "_batches_that_stepped"])
    for value in vars(loop).values():
        if isinstance(value, _Loop):
            yield from counters(value)
        elif isinstance(value, _BaseProgress):
            yield from progress(value)


def progress(node: _BaseProgress) -> Iterator[Counters]:
    """The numbers of a progress and of those inside."""
    names = []
    for name, value in vars(node).items():
        if isinstance(value, _BaseProgress):
            yield from progress(value)
        else:
            names.append(name)
    if names:
        yield of(node, names if len(names) > 1 else names * 2)  # one name alone gives no tuple


def of(owner: Any, names: list[str]) -> Counters:
    """The attributes of an object by name, at least two."""
    return Counters(owner, tuple(names), attrgetter(*names))
