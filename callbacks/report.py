"""One line every log interval: losses, learning rate, speed, memory; and one line at the end."""

import shlex
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from engine.flops import FlopCounter
from engine.machine import matmul_rate, peak_memory
from engine.strategies import compute_dtype


class Meter(Protocol):
    """What a system counts while it trains."""

    num_targets: int
    unit: str

    def means(self, reduce: Any = None) -> dict[str, float]:
        """Read the means since the last reading."""


class Report(L.Callback):
    """Prints and logs what a run is doing, every `log_every_n_steps` steps.

    Between two reports nothing is read from the device. Time spent in validation, and on the
    samples drawn after it, does not count against the speed.

    Args:
        count_flops: Whether to count the floating-point operations of the first batch (forward and
            backward, as executed, recomputation included) and report the rate. Attention counts in
            full, though half of it is masked.
    """

    def __init__(self, count_flops: bool = True):
        self.count_flops = count_flops
        self.flops_per_target = 0.0
        self.matmul_rate = 0.0
        self.peak_rate = 0.0
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
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = found(trainer, "validate/")
        if row and trainer.state.fn == "fit" and not trainer.sanity_checking:
            parts = [f"{name} {value:.4f}" for name, value in row.items()]
            trainer.print(" · ".join([f"step {trainer.global_step}", *parts]))
        elif trainer.state.fn == "validate":
            show(trainer, row)

    @override
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        show(trainer, found(trainer, "test/"))

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
        if self.counter is not None:
            self._read_counter(pl_module)
        step = trainer.global_step
        is_last = step == trainer.max_steps
        due = step % trainer.log_every_n_steps == 0 or is_last  # type: ignore[attr-defined]
        if due and step != self.reported:
            self._report(trainer, pl_module, step)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Stop counting; whatever runs next in this process would be counted as well."""
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            self.counter = None

    def _read_counter(self, pl_module: L.LightningModule) -> None:
        """Turn the count of one batch into operations per target; its time is not typical."""
        assert self.counter is not None
        self.counter.__exit__(None, None, None)
        meter = meter_of(pl_module)
        self.flops_per_target = self.counter.total / max(1, meter.num_targets)
        self.counter = None
        meter.num_targets = 0
        self.busy, self.since = 0.0, None

    def _report(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int) -> None:
        meter, ranks = meter_of(pl_module), trainer.world_size
        reduce = None if ranks == 1 else lambda t: trainer.strategy.reduce(t, reduce_op="sum")
        means = meter.means(reduce)  # waits for the device
        self._pause()
        row = {f"train/{name}": value for name, value in means.items()}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        if self.busy and meter.num_targets:
            row |= self._speed(meter, ranks)
        row["memory_bytes"] = peak_memory(pl_module.device)
        meter.num_targets, self.busy, self.reported = 0, 0.0, step
        self.since = perf_counter()
        check_finite(row, step)
        for logger in trainer.loggers:
            logger.log_metrics(row, step)
        trainer.print(line(step, row, trainer.max_steps))

    def _speed(self, meter: Meter, ranks: int) -> dict[str, float]:
        rate = meter.num_targets * ranks / self.busy
        flops = rate * self.flops_per_target
        speed = {f"{meter.unit}_per_second": rate}
        if flops:
            share = flops / ranks / self.matmul_rate
            speed |= {"flop_per_second": flops, "matmul_share": share}
        return speed

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.logger is not None and trainer.logger.log_dir:
            can_predict = is_overridden("predict_step", pl_module, L.LightningModule)
            say_goodbye(trainer, Path(trainer.logger.log_dir), can_predict)


def meter_of(module: L.LightningModule) -> Meter:
    """The meter that every system has."""
    return cast(Meter, module.meter)


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
            raise FloatingPointError(f"{name} is {value} at step {step}")


def line(step: int, row: dict[str, float], max_steps: int) -> str:
    """The report as people read it."""
    of = f"/{max_steps}" if max_steps > 0 else ""
    losses = [f"{k.removeprefix('train/')} {v:.4f}" for k, v in row.items() if "train/" in k]
    parts = [f"step {step}{of}", *losses, f"lr {row['learning_rate']:.2e}"]
    for name, value in row.items():
        if name.endswith("_per_second") and name != "flop_per_second":
            parts.append(f"{si(value).strip()} {name.removesuffix('_per_second')}/s")
    if "flop_per_second" in row:
        share = row["matmul_share"]
        parts.append(f"{si(row['flop_per_second'])}FLOP/s ({share:.0%} of matmul)")
    parts.append(f"{row['memory_bytes'] / 2**30:.2f} GiB")
    return " · ".join(parts)


def si(value: float) -> str:
    """A number with a unit prefix: 1234567 -> '1.23 M'."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(value) < 1000:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} E"


@rank_zero_only
def say_goodbye(trainer: L.Trainer, folder: Path, can_predict: bool) -> None:
    """Say where everything is and how to go on."""
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
    if can_predict:
        config = shlex.quote(str(folder / "config.yaml"))
        command = f"--config {config} --ckpt_path {shlex.quote(str(path))}"
        print(f"sample from it: python cli.py predict {command}")


def found(trainer: L.Trainer, prefix: str) -> dict[str, float]:
    """What an evaluation logged, by name."""
    metrics = trainer.callback_metrics.items()
    return {name: float(value) for name, value in metrics if name.startswith(prefix)}


def show(trainer: L.Trainer, row: dict[str, float]) -> None:
    """Print what a command that only evaluates found, one quantity a line."""
    width = max(map(len, row), default=0)
    for name, value in row.items():
        trainer.print(f"{name:<{width}}  {value:.6g}")
    if trainer.logger is not None and trainer.log_dir:
        trainer.print(f"run folder   {trainer.log_dir}")
