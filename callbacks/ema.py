"""Exponential moving average of the trainable weights."""

from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor, nn
from typing_extensions import override


class EMA(L.Callback):
    """Averages trainable weights while training, and validates, tests, predicts with the average.

    average <- decay * average + (1 - decay) * weight, after every optimizer step. The average is
    held in float32 on the weights' device, sharded as they are; checkpoints that are one file hold
    it whole, and those that are folders of shards in shards.

    Args:
        decay: Share of the old average that is kept at each step.
        warmup: Whether early steps average less: decay at step n is at most (1 + n) / (10 + n).
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.decay = decay
        self.warmup = warmup
        self.num_updates = 0
        self.last_step = -1
        self.average: dict[str, Tensor] = {}
        self.loaded: dict[str, Tensor] | None = None
        self.swapped: dict[str, Tensor] = {}

    def held_bytes(self, module: nn.Module) -> int:
        """Bytes of the average of a module, whole."""
        return sum(4 * p.numel() for p in trainable(module).values())

    # Averaging

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(pl_module)
        self.last_step = trainer.global_step

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._catch_up(trainer, pl_module)

    @torch.no_grad()
    def _catch_up(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Average the weights of a step, once."""
        if trainer.global_step == self.last_step:
            return  # gradients are still being accumulated
        self.last_step = trainer.global_step
        if getattr(pl_module, "skips_step", False):
            return  # nothing was learned
        self.num_updates += 1
        names = trainable(pl_module)
        average = [self.average[name] for name in names]
        weights = [local(p).float() for p in names.values()]
        torch._foreach_lerp_(average, weights, 1 - self.current_decay())

    def current_decay(self) -> float:
        """The decay of the update at hand."""
        n = self.num_updates
        return min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay

    @torch.no_grad()
    def _begin(self, pl_module: L.LightningModule) -> None:
        """Start from the weights, or from what a checkpoint held."""
        if self.average and self.loaded is None:
            return
        for name, p in trainable(pl_module).items():
            start = local(p) if self.loaded is None else like(self.loaded[name], p)
            self.average[name] = start.detach().float().clone()
        self.loaded = None

    # Evaluation with the average

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._swap_in(pl_module)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._swap_out(pl_module)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Give the weights back before they are saved."""
        self._swap_out(pl_module)

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end

    @torch.no_grad()
    def _swap_in(self, pl_module: L.LightningModule) -> None:
        if self.loaded is not None:
            self._begin(pl_module)
        if not self.average:
            return
        for name, p in trainable(pl_module).items():
            self.swapped[name] = local(p).detach().clone()
            put(p, self.average[name])

    @torch.no_grad()
    def _swap_out(self, pl_module: L.LightningModule) -> None:
        for part in pl_module.modules():
            reshard = getattr(part, "reshard", None)  # a forward leaves sharded weights gathered
            if reshard is not None:
                reshard()
        parameters = trainable(pl_module)
        for name, value in self.swapped.items():
            put(parameters[name], value)
        self.swapped = {}

    # Checkpoints

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.training:  # an error may have come before the average
            self._catch_up(trainer, pl_module)
        parameters = trainable(pl_module)
        held = as_it_is if getattr(trainer.strategy, "saves_shards", False) else gathered
        checkpoint["ema"] = {
            "num_updates": self.num_updates,
            "weights": {n: held(a, parameters[n]) for n, a in self.average.items()},
        }

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        saved = checkpoint.get("ema")
        if saved is None:
            return  # the run begins to average only now
        missing = set(trainable(pl_module)) - set(saved["weights"])
        if missing:
            raise ValueError(f"the checkpoint's averages lack {sorted(missing)[:3]}")
        self.loaded = saved["weights"]
        self.num_updates = saved["num_updates"]


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor; all of it where it is not sharded."""
    if hasattr(tensor, "ds_tensor"):  # DeepSpeed's ZeRO-3, a flat part
        return tensor.ds_tensor
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else to_local()


def put(parameter: nn.Parameter, value: Tensor) -> None:
    """Change what this rank holds of a parameter; every rank must call."""
    local(parameter).copy_(value)
    if hasattr(parameter, "ds_tensor") and parameter.data.numel():  # small ones stay gathered
        parameter.data.copy_(whole(local(parameter), parameter))


def whole(shard: Tensor, parameter: nn.Parameter) -> Tensor:
    """Gather what ranks hold for a sharded parameter; every rank must call."""
    if hasattr(parameter, "ds_tensor"):
        parts = [torch.empty_like(shard) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, shard)
        return torch.cat(parts)[: parameter.ds_numel].view(parameter.ds_shape)  # type: ignore[attr-defined]
    tensor = as_it_is(shard, parameter)
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def gathered(shard: Tensor, parameter: nn.Parameter) -> Tensor:
    """The same on the CPU."""
    return whole(shard, parameter).cpu()


def as_it_is(shard: Tensor, parameter: nn.Parameter) -> Tensor:
    """The average of a parameter as one tensor that is sharded as the parameter is."""
    if not hasattr(parameter, "device_mesh"):
        return shard
    from torch.distributed.tensor import DTensor

    mesh, placements = parameter.device_mesh, parameter.placements  # type: ignore[attr-defined]
    shape, stride = parameter.shape, parameter.stride()
    return DTensor.from_local(shard, mesh, placements, shape=shape, stride=stride)


def like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """This rank's part of a whole tensor, sharded as a parameter is, or of one that is already."""
    if hasattr(value, "device_mesh"):
        return local(value)
    value = value.to(parameter.device)
    if hasattr(parameter, "ds_tensor"):
        size = parameter.ds_tensor.numel()
        start, end = dist.get_rank() * size, (dist.get_rank() + 1) * size
        flat = value.reshape(-1)
        return nn.functional.pad(flat, (0, max(0, end - flat.numel())))[start:end]
    if not hasattr(parameter, "device_mesh"):
        return value
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = parameter.device_mesh, parameter.placements  # type: ignore[attr-defined]
    return local(distribute_tensor(value, mesh, placements))
