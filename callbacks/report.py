"""One line every log interval: losses, learning rate, speed, memory; and one line at the end."""

import re
import shlex
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.optim import Optimizer
from typing_extensions import override

from callbacks.losses import LossMeter
from callbacks.rates import StepRates
from callbacks.report_line import line
from engine.measure.flops import FlopCounter
from engine.measure.machine import matmul_rate, peak_memory
from engine.parallel.fsdp2 import compute_dtype
from engine.ranks.replicas import replica
from engine.run.steps.finite import NotFiniteError, num_skipped
from engine.run.steps.whole import ends_step


@runtime_checkable
class Meter(Protocol):
    """What a system counts while it trains."""

    num_targets: int
    unit: str

    def means(self, reduce: Any = None) -> dict[str, float]:
        """Read the means since the last reading."""
        ...


VALIDATION = re.compile(r"(^|[^a-z])val")
"""Names that people give to what validation measures: val_loss, valid/acc."""


class Report(L.Callback):
    """Prints and logs what a run is doing, every `log_every_n_steps` steps.

    Between two reports nothing is read from the device. Time spent in validation, and on the
    samples drawn after it, does not count against the speed. Of a module without a `meter` the loss
    is reported, and batches are counted.

    Args:
        count_flops: Whether to count the floating-point operations of the first batch (forward and
            backward, as executed, recomputation included) and report the rate. Attention counts in
            full, though half of it is masked.
    """

    def __init__(self, count_flops: bool = True):
        self.count_flops = count_flops
        self.flops_per_target = 0.0
        self.matmul_rate = 0.0
        self.losses = LossMeter()
        self.rates = StepRates()
        self.began = (0.0, 0)
        self.counter: FlopCounter | None = None
        self.busy = 0.0
        self.since: float | None = None
        self.reported = -1

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.count_flops:
            dtype = compute_dtype(str(trainer.precision))
            self.matmul_rate = matmul_rate(pl_module.device, dtype)
        self.reported = trainer.global_step
        self.began = (perf_counter(), trainer.global_step)
        self.busy, self.since = 0.0, None

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.since is None:
            self.since = perf_counter()
        if self.count_flops and not self.flops_per_target and not compiled(pl_module):
            self.counter = FlopCounter()
            self.counter.__enter__()

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        self.rates.note(trainer, optimizer)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = logged_metrics(trainer, "validate/")
        if row and trainer.state.fn == "fit" and not trainer.sanity_checking:
            parts = [f"{name} {value:.4f}" for name, value in row.items()]
            trainer.print(" · ".join([f"step {trainer.global_step}", *parts]))
        elif trainer.state.fn == "validate":
            show(trainer, row)

    @override
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        show(trainer, logged_metrics(trainer, "test/"))

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Print the run folder last, after what was drawn."""
        if stage in ("validate", "test") and trainer.logger is not None and trainer.log_dir:
            trainer.print(f"run folder   {trainer.log_dir}")

    def _pause(self) -> None:
        if self.since is not None:
            self.busy += perf_counter() - self.since
            self.since = None

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        meter = self.meter_of(pl_module)
        if isinstance(meter, LossMeter):
            self._read_loss(trainer, pl_module, outputs)
        self._read_counter(meter)
        step = trainer.global_step
        is_last = step == trainer.max_steps
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        due = (every and step % every == 0) or is_last
        if due and step != self.reported:
            self._report(trainer, pl_module, meter, step)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Stop counting; whatever runs next in this process would be counted as well."""
        self._end_count()

    def _end_count(self) -> float | None:
        """Operations since counting began; None where nothing was being counted."""
        counter, self.counter = self.counter, None  # whatever fails now, it is not ended twice
        if counter is None:
            return None
        counter.__exit__(None, None, None)
        return counter.total

    def _read_counter(self, meter: Meter) -> None:
        """Turn the count of one batch into operations per target; its time is not typical."""
        total = self._end_count()
        if total is not None:
            self.flops_per_target = total / max(1, meter.num_targets)
            meter.num_targets = 0
            self.busy, self.since = 0.0, None

    def meter_of(self, module: L.LightningModule) -> Meter:
        """The meter that our systems have; of other modules, the losses of their batches."""
        meter = getattr(module, "meter", None)
        return meter if isinstance(meter, Meter) else self.losses

    def _read_loss(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any) -> None:
        """Keep the loss of a batch of a module that has no meter."""
        self.losses.add(outputs, trainer.accumulate_grad_batches)
        if ends_step(trainer):
            self.losses.end_step(not getattr(pl_module, "skips_step", False))

    def _report(
        self, trainer: L.Trainer, pl_module: L.LightningModule, meter: Meter, step: int
    ) -> None:
        _, ranks = replica(trainer)
        reduce = None if ranks == 1 else lambda t: trainer.strategy.reduce(t, reduce_op="sum")
        means = meter.means(reduce)  # waits for the device
        self._pause()
        row = {f"train/{name}": value for name, value in means.items()}
        if skipped := num_skipped(trainer):
            row["train/skipped"] = skipped
        row |= self.rates.row()
        if self.busy and meter.num_targets:
            row |= self._speed(meter, ranks, pl_module.device, str(trainer.precision))
        row["memory_bytes"] = peak_memory(pl_module.device)
        meter.num_targets, self.busy, self.reported = 0, 0.0, step
        self.since = perf_counter()
        check_finite(row, step)
        for logger in trainer.loggers:
            logger.log_metrics(row, step)
        since, first = self.began
        pace = (perf_counter() - since) / max(1, step - first)
        trainer.print(line(step, row, trainer.max_steps, pace))

    def _speed(
        self, meter: Meter, ranks: int, device: torch.device, precision: str
    ) -> dict[str, float]:
        rate = meter.num_targets * ranks / self.busy
        flops = rate * self.flops_per_target
        speed = {f"{meter.unit}_per_second": rate}
        if flops:
            if flops / ranks > self.matmul_rate:  # it was measured while others were at work
                again = matmul_rate(device, compute_dtype(precision))
                self.matmul_rate = max(self.matmul_rate, again, flops / ranks)
            share = flops / ranks / self.matmul_rate
            speed |= {"flop_per_second": flops, "matmul_share": share}
        return speed

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        can_predict = is_overridden("predict_step", pl_module, L.LightningModule)
        run = trainer.logger.log_dir if trainer.logger is not None else None
        print_summary(trainer, None if run is None else Path(run), can_predict)


def compiled(module: L.LightningModule) -> bool:
    """Whether the network is compiled, where operations cannot be counted one by one."""
    return bool(getattr(module, "compile_network", False))


def check_finite(row: dict[str, float], step: int) -> None:
    """Stop a run whose loss is no number.

    Raises:
        FloatingPointError: Names the quantity and the step.
    """
    for name, value in row.items():
        if name.startswith("train/") and not torch.isfinite(torch.tensor(value)):
            raise NotFiniteError(f"{name} is {value} at step {step}")


@rank_zero_only
def print_summary(trainer: L.Trainer, folder: Path | None, can_predict: bool) -> None:
    """Print where everything is and how to continue."""
    if folder is not None:
        print(f"run folder   {folder}")
        if (folder / "samples").is_dir():
            print(f"samples      {folder / 'samples'}")
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint):
        return
    path = Path(callback.last_model_path or callback.best_model_path)
    if path == Path():
        return
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    print(f"checkpoint   {path}")
    if can_predict and folder is not None:
        config = shlex.quote(str(folder / "config.yaml"))
        command = f"--config {config} --ckpt_path {shlex.quote(str(path))}"
        print(f"sample from it: python cli.py predict {command}")


def logged_metrics(trainer: L.Trainer, prefix: str) -> dict[str, float]:
    """What an evaluation logged, by name; all of it where nothing bears the name of its stage."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    ours = {name: value for name, value in metrics.items() if name.startswith(prefix)}
    if ours or trainer.state.fn != "fit":
        return ours or metrics
    return {name: value for name, value in metrics.items() if VALIDATION.search(name.lower())}


def show(trainer: L.Trainer, row: dict[str, float]) -> None:
    """Print what a command that only evaluates found, one quantity a line."""
    width = max(map(len, row), default=0)
    for name, value in row.items():
        trainer.print(f"{name:<{width}}  {value:.6g}")
