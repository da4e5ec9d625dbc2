"""What DeepSpeed's ZeRO would cut, or wait for for ever."""

from jsonargparse import Namespace

from engine.config.invocation import Invocation
from engine.config.trust import member


def unfit_for_deepspeed(run: Invocation) -> str | None:
    """What keeps whole tensors, or blocks of them, where DeepSpeed has flat parts."""
    if not run.is_deepspeed or run.command != "fit":
        return None
    chosen = str(run.config.get("model.init_args.optimizer.class_path"))
    if chosen.startswith("bitsandbytes."):
        return (
            f"model.init_args.optimizer: {chosen} keeps its state in blocks, which {run.strategy} "
            "would cut; take configs/strategy/ddp.yaml, or torch.optim.AdamW"
        )
    callbacks = run.config.get("trainer.callbacks") or []
    named = [str(c.get("class_path")) for c in callbacks if isinstance(c, Namespace)]
    averages = [path for path in named if path.endswith("WeightAveraging")]
    if averages:
        return (
            f"trainer.callbacks: {averages[0]} copies whole weights, which {run.strategy} may hold "
            "in parts; callbacks.ema.EMA averages them as they are"
        )
    return None


def layers_of_each_rank(run: Invocation) -> str | None:
    """A system whose ranks may call other layers, under a strategy that gathers by layers."""
    if not run.is_deepspeed or run.config.get("trainer.strategy.init_args.stage") != 3:
        return None
    system = str(run.config.get("model.class_path"))
    if not getattr(member(system), "calls_by_data", False):
        return None
    return (
        f"trainer.strategy: ranks of {system} call the layers that their data need, and ZeRO-3 "
        "gathers what is called: they would wait for one another for ever; take "
        "configs/strategy/fsdp2.yaml, or deepspeed_zero2.yaml"
    )
