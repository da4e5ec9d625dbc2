"""What every system shares: one network, its trainable part, means over a step, checkpoints."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from modules.base.optimizers import (
    Options,
    built,
    check_watch,
    clips_itself,
    decayed_or_not,
    described,
    is_other,
    options_of,
    refuse_unseen,
    restarted_schedule,
    scale_rates,
)
from modules.metrics.meter import Meter
from modules.weights.fingerprint import fingerprint, refuse_others
from modules.weights.origin import source_of
from modules.weights.sharding import by_mesh, full
from modules.weights.state_dict import differences


def constant(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """Keep the learning rate as it is."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


class System(L.LightningModule):
    """A network, what of it is trained, and how its losses are averaged.

    A system says how to `build` its network and what a step computes. Frozen parameters stay out of
    the optimizer and out of checkpoints: they come back from their source, whose fingerprint the
    checkpoint holds.

    Args:
        optimizer: Builds the optimizer from the trainable parameters; vectors (norms, biases) are
            given without weight decay.
        scheduler: Builds the learning-rate schedule from that optimizer; steps once a step.
        compile: Whether to compile the network with torch.compile.

    Attributes:
        learns_in_validation: Whether validation changes what a checkpoint holds.
        calls_by_data: Whether the layers that a step calls depend on its data: ranks differ.
        untrained: Names of the trainable parameters whose values come from no file.
        sources: Where the values of the others, and of frozen ones, were read.
        gradient_norm: Of the current step, once its gradients are complete, where it was computed.
        read_before: Targets that were read before the run was resumed.
        skips_step: Whether the current step is not taken, since something in it is not finite.
    """

    learns_in_validation = False
    calls_by_data = False

    def __init__(
        self,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        compile: bool = False,
    ):
        super().__init__()
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.compile_network = compile
        self.network: nn.Module | None = None
        self.meter = Meter()
        self.frozen_source = ""
        self.untrained: list[str] = []
        self.sources: list[str] = []
        self.loading: str | None = None
        self.configured: Options = []
        self.resumed: dict[str, Any] | None = None
        self.read_before = 0
        self.watched: str | None = None
        self.has_watched = False
        self.gradient_norm: Tensor | None = None
        self.skips_step = False

    @abstractmethod
    def build(self) -> nn.Module:
        """The network, its frozen parameters marked as such."""

    @override
    def configure_model(self) -> None:
        if self.network is not None:
            return
        network = self.build().train()  # transformers hands pretrained models over in eval mode
        if self.compile_network:
            network.compile()
        self.network = network
        self.note_origins()
        self.frozen_source = fingerprint((n, p) for n, p in self.frozen() if not p.is_meta)

    def note_origins(self) -> None:
        """Record where the weights come from, while they are as the network was built."""
        origins = {name: source_of(parameter) for name, parameter in self.named_parameters()}
        self.sources = list(dict.fromkeys(one for one in origins.values() if one))
        trained = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        self.untrained = [name for name in trained if origins[name] is None]

    def frozen(self) -> list[tuple[str, nn.Parameter]]:
        """Names and parameters that are not trained; a tied parameter under each of its names."""
        named = self.named_parameters(remove_duplicate=False)
        return [pair for pair in named if not pair[1].requires_grad]

    def validated(self) -> Collection[str]:
        """Names of all quantities that a validation may log, for monitors; none where unknown."""
        return ()

    # Optimisation

    @override
    def configure_optimizers(self) -> Any:
        groups = self.parameter_groups()
        if not groups:
            raise ValueError("nothing to train: every parameter of the network is frozen")
        optimizer = built("optimizer", self.make_optimizer, groups)
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("lr_ratio", 1.0)
        self.configured = options_of(optimizer)
        scheduler = built("scheduler", self.make_scheduler, optimizer)
        self.watched = check_watch(scheduler)
        self.learns_in_validation = self.learns_in_validation or self.watched is not None
        # a schedule that watches a validation is stepped by it, not by Lightning in every step
        schedule = {"scheduler": scheduler, "interval": "step", "reduce_on_plateau": False}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters as the optimizer takes them; vectors are not decayed.

        A system that trains parts at different rates gives groups an `lr_ratio`, a factor on the
        optimizer's learning rate.
        """
        return decayed_or_not([p for p in self.parameters() if p.requires_grad], self.hidden())

    def hidden(self) -> Iterable[nn.Parameter]:
        """Parameters inside transformer blocks: of all lists of modules, unless overridden."""
        lists = [m for m in self.modules() if isinstance(m, nn.ModuleList)]
        return [p for blocks in lists for p in blocks.parameters()]

    @override
    def on_train_start(self) -> None:
        """Let a changed config override the rates, betas and decay of a checkpoint.

        The schedule then continues as a fresh run of this config would at this step. Where nothing
        has changed, and in a fresh run, everything stays as torch computed or restored it.
        """
        now = described(self.hparams, self.configured)
        if self.resumed is None or not is_other(self.resumed, now):
            return
        optimizer, config = self.trainer.optimizers[0], self.trainer.lr_scheduler_configs[0]
        if self.watched is not None:
            scale_rates(optimizer, self.resumed["groups"] or self.configured, self.configured)
        else:
            num_steps = self.trainer.global_step
            config.scheduler = restarted_schedule(
                optimizer, self.configured, self.make_scheduler, num_steps
            )

    @override
    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if self.watched is None:
            scheduler.step()

    @override
    def on_validation_end(self) -> None:
        """Check that the schedule has seen what it watches."""
        if self.watched and not self.has_watched and self._in_fit():
            refuse_unseen(self.watched, self.trainer.callback_metrics)

    def _in_fit(self) -> bool:
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

    @override
    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        norm, self.gradient_norm = self.gradient_norm, None
        if self.skips_step or clips_itself(self.trainer.strategy):
            return  # nothing to clip
        if norm is not None:
            self.meter.set_latest("gradient_norm", norm)
        if gradient_clip_val is None or gradient_clip_val <= 0:
            return
        if gradient_clip_algorithm not in (None, "norm"):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        parameters = [p for p in self.parameters() if p.grad is not None]
        if norm is None:  # under another trainer than ours
            norm = full(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
            self.meter.set_latest("gradient_norm", norm)
        for group in by_mesh(parameters):
            nn.utils.clip_grads_with_norm_(group, gradient_clip_val, norm)

    # Losses

    def step_mean(self, total: Tensor, step_count: int) -> Tensor:
        """This micro-batch's share of the mean over a whole optimizer step.

        The sum of the shares, over the accumulated micro-batches and over all ranks, is
        total of totals / total of counts: 1 x 8 examples and 8 x 1 give the same gradient, and so
        do two ranks of unequal batches. Lightning divides by the number of micro-batches and the
        strategy averages over ranks; both are undone here.

        Args:
            total: Sum of the loss over this micro-batch, with its graph.
            step_count: Number of targets in all micro-batches of the step on this rank.

        Returns:
            A scalar to return from `training_step`; zero, with a graph, where nothing counts.
        """
        count = self.sum_over_ranks(step_count)
        num_parts = self.trainer.accumulate_grad_batches * self.num_ranks
        return total * num_parts / count.clamp(min=1).to(total.dtype)

    @property
    def num_ranks(self) -> int:
        """Number of ranks that see different data."""
        sampler = getattr(self.trainer.strategy, "distributed_sampler_kwargs", None)
        return int(sampler["num_replicas"]) if sampler else 1

    @property
    def data_rank(self) -> int:
        """Number of this rank among those; ranks that share their data have the same."""
        sampler = getattr(self.trainer.strategy, "distributed_sampler_kwargs", None)
        return int(sampler["rank"]) if sampler else 0

    def sum_over_ranks(self, value: float | Tensor) -> Tensor:
        """Sum of a number or tensor over all ranks, in double precision where the device has it."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        value = torch.as_tensor(value, dtype=dtype).to(self.device, non_blocking=True)
        if self.num_ranks == 1:
            return value
        return self.trainer.strategy.reduce(value.clone(), reduce_op="sum")  # which is in place

    def report(self, row: dict[str, float]) -> None:
        """Log quantities of an evaluation under the number of optimizer steps taken so far.

        Args:
            row: Values by name, `stage/quantity`, the same on every rank.
        """
        if self.watched in row and self._in_fit():
            self.has_watched = True
            self.trainer.lr_scheduler_configs[0].scheduler.step(row[self.watched])  # type: ignore[arg-type]
        self.log_dict(row, logger=False, sync_dist=True)  # for monitors; its step number is one off
        for logger in [] if self.trainer.sanity_checking else self.loggers:
            logger.log_metrics(row, self.global_step)

    # Checkpoints

    @override
    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Trainable parameters and buffers; what is frozen comes from its source."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        left_out = {name for name, _ in self.frozen()}
        return {name: value for name, value in state.items() if name not in left_out}

    @override
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load every trainable parameter.

        Raises:
            ValueError: A trainable parameter is missing, unknown or of another shape: the
                checkpoint of another model.
        """
        reasons = differences(state_dict, self.state_dict())
        if reasons:
            what = f"{self.checkpoint_name()} is the checkpoint of another model"
            raise ValueError(f"{what}: {reasons}")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def num_read(self) -> int:
        """Targets that were read in all, on all ranks and before the run was resumed.

        A rank that saves alone, since the others have ended, counts for them what it read itself.
        """
        if self._trainer is None:
            return self.read_before
        if getattr(getattr(self._trainer, "ranks", None), "alone", False):
            return self.read_before + self.meter.num_read * self.num_ranks
        return self.read_before + int(self.sum_over_ranks(self.meter.num_read).item())

    def checkpoint_name(self) -> str:
        """Path of the checkpoint that is being loaded, for messages."""
        path = self.trainer.ckpt_path if self._trainer is not None else None
        return str(self.loading or path or "this state")

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["frozen_source"] = self.frozen_source
        checkpoint["optimizer_groups"] = self.configured
        checkpoint["num_targets"] = {"number": self.num_read(), "unit": self.meter.unit}

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        source = checkpoint.get("frozen_source", self.frozen_source)
        refuse_others(source, self.frozen_source, self.checkpoint_name())
        self.read_before = int(checkpoint.get("num_targets", {}).get("number", 0))
        options = checkpoint.get("hyper_parameters", {})
        self.resumed = described(options, checkpoint.get("optimizer_groups"))
