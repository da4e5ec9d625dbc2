"""The strategies of `estimate` as `fit` is given them."""

from typing import Any

from jsonargparse import Namespace

from engine.estimate.rank_memory import StrategyName

DEEPSPEED = "lightning.pytorch.strategies.DeepSpeedStrategy"
STRATEGIES: dict[StrategyName, tuple[str, dict[str, Any]]] = {
    "ddp": ("lightning.pytorch.strategies.DDPStrategy", {"gradient_as_bucket_view": True}),
    "fsdp2": ("engine.parallel.fsdp2.FSDP2", {}),
    "hsdp": ("engine.parallel.fsdp2.FSDP2", {}),
    "zero2": (DEEPSPEED, {"stage": 2}),
    "zero3": (DEEPSPEED, {"stage": 3}),
    "zero3_offload": (
        DEEPSPEED,
        {"stage": 3, "offload_optimizer": True, "offload_parameters": True},
    ),
}
"""Class and options of each, as configs/strategy/ has them."""


def with_strategy(config: Namespace, name: StrategyName) -> Namespace:
    """A copy of a config under a strategy."""
    path, options = STRATEGIES[name]
    changed = config.clone()
    changed["trainer.strategy"] = Namespace(class_path=path, init_args=Namespace(**options))
    return changed
