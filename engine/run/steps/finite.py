"""Losses and gradients that are no numbers: such a step is left out, and many end the run.

A loss that is not finite makes every gradient of its batch so, gradients are summed over ranks, and
their norm is taken over all of them: so one rank's bad batch is seen by all, without a word between
them. Without gradients no optimizer touches weights, momentum or its count of steps. The number of
steps and the schedule of the learning rate continue.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from torch import Tensor
from typing_extensions import override

from engine.disk.whole import whole
from engine.parallel.gradients import total_norm
from engine.ranks.agreement import Ranks
from engine.run.steps.whole import ends_step

MOST_KEPT = 16
"""Micro-batches of a step that are at hand if they are to be written out."""
HALVINGS = 20
"""Steps in a row that the gradient scaler of 16-mixed may need to find its scale."""


@runtime_checkable
class TellsNorm(Protocol):
    """A strategy that leaves out such steps itself, as our DeepSpeed."""

    told: Callable[[Tensor], None] | None
    """Called after each step with the norm of its gradient, not finite where it was left out."""


class NotFiniteError(FloatingPointError):
    """A run of which too much is no number; every rank raises it at the same place."""

    is_agreed = True


class SoundSteps(L.Callback):
    """Leaves out optimizer steps whose loss or gradient is not finite, on any rank.

    They are counted as `train/skipped`. Lightning's own DeepSpeed, which keeps the gradients to
    itself, is not watched. Sets `skips_step` and, where gradients are watched, `gradient_norm` of
    the module.

    Args:
        limit: Steps in a row that end the run; their last batches are written to its folder.

    Attributes:
        total: Steps that were left out since the run began, resumed or not.

    Raises:
        NotFiniteError: There were as many steps in a row.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.total = 0
        self.in_a_row = 0
        self.batches: deque[Any] = deque(maxlen=MOST_KEPT)
        self.losses: deque[Tensor] = deque(maxlen=MOST_KEPT)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin_step(pl_module)
        pl_module.skips_step = False  # type: ignore[assignment]
        if isinstance(trainer.strategy, TellsNorm):
            trainer.strategy.told = partial(self._hear, pl_module)

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(batch)

    @override
    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        value = loss.detach()
        self.losses.append(value)
        if loss.requires_grad:
            loss.register_hook(partial(spoil, value))

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        strategy = trainer.strategy
        if strategy.handles_gradient_accumulation or isinstance(strategy, TellsNorm):
            return
        gradients = [dense(p.grad) for p in pl_module.parameters() if p.grad is not None]
        norm = total_norm(gradients)
        pl_module.gradient_norm = norm
        scaler = scaler_of(trainer)
        is_sound = bool(norm.isfinite())  # the only wait for a device in a step
        if not is_sound and scaler is not None:  # which takes the step where only the norm is large
            is_sound = all(bool(local(gradient).isfinite().all()) for gradient in gradients)
        self._count(pl_module, is_sound)
        if not is_sound and scaler is None:  # one leaves such steps out itself
            for p in pl_module.parameters():
                p.grad = None

    def _hear(self, pl_module: L.LightningModule, norm: Tensor) -> None:
        """Take note of a step that the strategy has taken, or left out, by itself."""
        is_sound, meter = bool(norm.isfinite()), getattr(pl_module, "meter", None)
        self._count(pl_module, is_sound)
        if is_sound and meter is not None:
            meter.set_latest("gradient_norm", norm)

    def _count(self, pl_module: L.LightningModule, is_sound: bool) -> None:
        pl_module.skips_step = not is_sound  # type: ignore[assignment]
        self.in_a_row = 0 if is_sound else self.in_a_row + 1
        if is_sound:
            return
        self.total += 1
        discard_step = getattr(getattr(pl_module, "meter", None), "discard_step", None)
        if discard_step is not None:
            discard_step()

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not ends_step(trainer):
            return
        if self.in_a_row:
            self._tell(trainer)
        self._begin_step(pl_module)

    def _begin_step(self, pl_module: L.LightningModule) -> None:
        self.batches.clear()
        self.losses.clear()
        begin_step = getattr(getattr(pl_module, "meter", None), "begin_step", None)
        if begin_step is not None:
            begin_step()

    def _tell(self, trainer: L.Trainer) -> None:
        """Say that a step was left out; end the run where it is one too many."""
        most = self.limit + (0 if scaler_of(trainer) is None else HALVINGS)
        step = trainer.global_step
        trainer.print(
            f"step {step} left out: its loss or gradient is not finite "
            f"({self.in_a_row} in a row, {most} end the run)"
        )
        if self.in_a_row >= most:
            where = self._write(trainer, step)
            raise NotFiniteError(
                f"the loss or gradient of {most} steps in a row was not finite, up to step {step}; "
                f"{where}; trainer.max_skipped_steps is the number that ends a run"
            )

    def _write(self, trainer: L.Trainer, step: int) -> str:
        """Write the batches of the last step, each rank its own; says where."""
        run = trainer.log_dir if trainer.loggers else None
        losses = [round(value.item(), 6) for value in self.losses]
        summary = f"losses here {', '.join(map(str, losses))}"
        if run is None:
            return summary
        folder = Path(run) / "skipped"
        path = folder / f"step_{step:07d}_rank_{trainer.global_rank}.pt"
        try:
            with whole(path) as draft:
                torch.save({"step": step, "losses": losses, "batches": list(self.batches)}, draft)
        except Exception as error:  # must not hide the reason
            return f"{summary}; its batches could not be written: {error}"
        return f"{summary}; its batches are in {folder}"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "in_a_row": self.in_a_row}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.total, self.in_a_row = state_dict["total"], state_dict["in_a_row"]


def spoil(loss: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of a loss; not a number where the loss is none."""
    return torch.where(loss.isfinite(), gradient, torch.full_like(gradient, float("nan")))


def num_skipped(trainer: L.Trainer) -> int:
    """Steps of a run that were left out."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return sum(one.total for one in callbacks if isinstance(one, SoundSteps))


def scaler_of(trainer: L.Trainer) -> Any:
    """The gradient scaler of 16-mixed; None elsewhere."""
    return getattr(trainer.precision_plugin, "scaler", None)


def dense(gradient: Tensor) -> Tensor:
    """The elements of a gradient that may not be zero."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient


# What is saved


def refuse_non_finite(trainer: L.Trainer, ranks: Ranks) -> None:
    """Keep weights that are no numbers out of checkpoints; every rank must call.

    Raises:
        NotFiniteError: A trained weight, or what the optimizer remembers, is not finite.
    """
    named = list(state(trainer))
    sound = [local(tensor).isfinite().all() for _, tensor in named]
    is_bad = bool(sound) and not bool(torch.stack([one.to(sound[0].device) for one in sound]).all())
    if ranks.greatest(int(is_bad)):
        names = [name for (name, _), one in zip(named, sound, strict=True) if not one]
        bad = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
        raise NotFiniteError(
            f"after step {trainer.global_step} {bad or 'a weight of another rank'} is not finite: "
            "no checkpoint of it is written; try a lower learning rate"
        )


def state(trainer: L.Trainer) -> Iterator[tuple[str, Tensor]]:
    """Trained weights and what optimizers remember of them, with names."""
    names: dict[Tensor, str] = {}
    for name, p in trainer.lightning_module.named_parameters():
        if p.requires_grad:
            names[p] = name
            yield name, p.detach()
    for optimizer in trainer.optimizers:
        for weight, memory in optimizer.state.items():
            for key, value in memory.items() if isinstance(memory, dict) else ():
                if isinstance(value, Tensor) and value.is_floating_point():
                    yield f"{key} of {names.get(weight, 'a parameter')}", value


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor; all of it where it is not sharded."""
    tensor = getattr(tensor, "ds_tensor", tensor)  # DeepSpeed's ZeRO-3
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else to_local()
