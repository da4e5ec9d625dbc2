"""DeepSpeed's ZeRO under our step and our checkpoints: one file, as every other strategy writes."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from engine.parallel.zero_state import (
    buffers_kept,
    gathered_optimizer,
    gathered_weights,
    refuse_other_weights,
    scatter_optimizer,
    scatter_weights,
)


class DeepSpeed(DeepSpeedStrategy):
    """Optimizer state and gradients sharded over all ranks (ZeRO-2), weights as well (ZeRO-3).

    The network is built whole on every rank and shared out afterwards, so that networks know
    nothing of it. Checkpoints are files of whole tensors, in single precision: any strategy and any
    number of ranks can continue from them. Steps whose gradient is not finite are left out by
    DeepSpeed itself, which also clips by the global norm; both are reported as elsewhere. Stage 3
    gathers layer by layer as they are called, so all ranks must call the same in every step.

    Args:
        stage: 1 shards the optimizer state, 2 the gradients as well, 3 the weights as well.
        offload_optimizer: Whether optimizer state and step are in host memory.
        offload_parameters: Whether weights wait in host memory until they are needed; stage 3.
        bucket_size: Elements that are sent at once.
        overlap: Whether gradients are sent while others are computed.
        backend: Communication backend; DeepSpeed's choice for the device where None.

    Attributes:
        told: What hears the gradient norm of each step, once it was taken or left out.

    Raises:
        ValueError: Parameters are to be offloaded that are not sharded.
    """

    clips_gradients = True
    """Whoever else clips would find no gradients."""

    def __init__(
        self,
        stage: Literal[1, 2, 3] = 2,
        offload_optimizer: bool = False,
        offload_parameters: bool = False,
        bucket_size: int = 200_000_000,
        overlap: bool = True,
        backend: str | None = None,
    ):
        if offload_parameters and stage != 3:
            raise ValueError(f"offload_parameters needs stage 3, which shards them; got {stage}")
        super().__init__(
            stage=stage,
            offload_optimizer=offload_optimizer,
            offload_parameters=offload_parameters,
            reduce_bucket_size=bucket_size,
            allgather_bucket_size=bucket_size,
            overlap_comm=overlap,
            process_group_backend=backend,
            logging_batch_size_per_gpu=1,  # else Lightning asks a loader for a batch sampler
        )
        assert isinstance(self.config, dict)
        # torch's own optimizers, which the configs name, run on the host too
        self.config["zero_force_ds_cpu_optimizer"] = False
        self.told: Any = None
        self.groups: list[list[torch.nn.Parameter]] = []

    @override
    def _format_config(self) -> None:
        super()._format_config()
        assert isinstance(self.config, dict)
        if "bf16" in self.config:
            self.config["bf16"]["check_grad_overflow"] = True

    # Steps

    @property
    @override
    def handles_gradient_accumulation(self) -> bool:
        """Lightning accumulates, as everywhere else; DeepSpeed is told when a step ends."""
        return False

    @override
    def model_sharded_context(self) -> Any:
        """Nothing: sources, experts and fingerprints are read of whole weights."""
        self._init_config_if_needed()
        return self.tensor_init_context(empty_init=None)

    @override
    def _init_optimizers(self) -> tuple[Optimizer, Any]:
        """Remember which parameters are in which group, before they are flattened."""
        optimizer, scheduler = super()._init_optimizers()
        self.groups = [list(group["params"]) for group in optimizer.param_groups]
        return optimizer, scheduler

    @override
    def init_deepspeed(self) -> None:
        """Make its engine; Lightning's warning, that hooks do not clip, is no news here."""
        module = self.lightning_module
        assert module is not None
        assert self.model is not None
        begin = self._initialize_deepspeed_inference
        if self.is_fitting:
            begin = self._initialize_deepspeed_train
        with buffers_kept(module):
            begin(self.model)
        if self.zero_stage_3:
            look_into_dataclasses(module)

    @override
    def block_backward_sync(self) -> Any:
        """Nothing to block: DeepSpeed was told that the step goes on, and keeps the sum."""
        return nullcontext()

    @override
    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        assert self.lightning_module is not None
        loop = self.lightning_module.trainer.fit_loop
        self.deepspeed_engine.set_gradient_accumulation_boundary(not loop._should_accumulate())
        return super().training_step(*args, **kwargs)

    @override
    def backward(
        self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Lightning has divided by the accumulated batches; DeepSpeed would do it again."""
        return super().backward(closure_loss, optimizer, *args, scale_wrt_gas=False, **kwargs)

    @override
    def optimizer_step(self, *args: Any, **kwargs: Any) -> Any:
        result = super().optimizer_step(*args, **kwargs)
        norm, engine = self.deepspeed_engine.get_global_grad_norm(), self.deepspeed_engine
        is_left_out = engine.optimizer.overflow or norm is None
        if is_left_out and self.zero_stage_3:
            gather(engine.optimizer.persistent_parameters)  # which a step does at its end
        value = float("inf") if is_left_out else norm
        if self.told is not None:
            self.told(torch.as_tensor(value, dtype=torch.float32, device=self.root_device))
        return result

    # Checkpoints: whole tensors, in one file

    @override
    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        return gathered_weights(self.lightning_module)

    @override
    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return gathered_optimizer(optimizer, self.groups)

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        super(DeepSpeedStrategy, self).save_checkpoint(checkpoint, filepath, storage_options)

    @override
    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        path = self.broadcast(checkpoint_path)
        return super(DeepSpeedStrategy, self).load_checkpoint(path, weights_only)

    @override
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        weights = checkpoint["state_dict"]
        refuse_other_weights(weights, self.lightning_module)
        scatter_weights(weights, self.lightning_module)

    @property
    @override
    def lightning_restore_optimizer(self) -> bool:
        return True

    @override
    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        states = checkpoint["optimizer_states"]
        for optimizer, state in zip(self.optimizers, states, strict=True):
            scatter_optimizer(optimizer, self.groups, state)

    @property
    def is_fitting(self) -> bool:
        """Whether the run trains."""
        module = self.lightning_module
        return module is not None and module.trainer.state.fn == TrainerFn.FITTING


def look_into_dataclasses(module: torch.nn.Module) -> None:
    """Let weights be gathered in backward also where a network returns a dataclass.

    DeepSpeed learns from the tensors that a module returns when its backward begins, and finds
    them in tuples and dictionaries alone.
    """
    for part in module.modules():
        if "pre_bwd_fn" in vars(part):
            part.register_forward_hook(marked)


def gather(parameters: list[Any]) -> None:
    """Gather parameters; every rank must call."""
    if parameters:
        parameters[0].all_gather(parameters)


def marked(part: Any, arguments: Any, output: Any) -> Any:
    """A dataclass whose tensors tell when the backward of a module begins; None for all else."""
    if not is_dataclass(output) or isinstance(output, type):
        return None
    held = {field.name: getattr(output, field.name) for field in fields(output)}
    seen = {
        name: part.pre_bwd_fn.apply(value)
        for name, value in held.items()
        if isinstance(value, Tensor) and value.requires_grad
    }
    return replace(output, **seen)
