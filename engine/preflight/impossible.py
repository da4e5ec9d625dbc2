"""Numbers, optimizers and networks of a config that could only fail, some of them hours later."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

from jsonargparse import Namespace

from engine.config.invocation import Invocation
from engine.preflight.bounds import BOUNDS, READ_BY, out_of_bounds
from engine.preflight.optimizer_trial import needs_matrices, what_fails


def wrong_number(run: Invocation) -> str | None:
    """A number that Lightning would stumble over, some of them hours later."""
    reasons = (out_of_bounds(name, run.trainer(name)) for name in BOUNDS)
    return next(filter(None, reasons), None)


def nothing_to_read(run: Invocation) -> str | None:
    """A command that is limited to no batch at all."""
    name = READ_BY.get(run.command)
    if name is None or run.trainer("fast_dev_run") or run.trainer(name) != 0:
        return None
    return f"trainer.{name} is 0: {run.command} would read nothing"


def averaging_without_epochs(run: Invocation) -> str | None:
    """Lightning's stochastic weight averaging, which counts in epochs."""
    callbacks = run.config.get("trainer.callbacks") or []
    named = [str(c.get("class_path")) for c in callbacks if isinstance(c, Namespace)]
    if not any(path.endswith(".StochasticWeightAveraging") for path in named):
        return None
    if (run.trainer("max_epochs") or -1) > 0:
        return None
    return (
        "trainer.callbacks: StochasticWeightAveraging counts epochs, and trainer.max_epochs is "
        f"{run.trainer('max_epochs')}; callbacks.ema.EMA averages weights by steps"
    )


# Models


def failing_optimizer(run: Invocation) -> str | None:
    """An optimizer or a schedule that does not take its options, or what systems give it."""
    if run.command != "fit":
        return None
    max_steps = run.trainer("max_steps", -1)
    return what_fails(run.config, max_steps, takes_step=run.device == "cpu")


def flattened_matrices(run: Invocation) -> str | None:
    """An optimizer of matrices under DeepSpeed, which gives optimizers flat parts."""
    if run.command != "fit" or not run.is_deepspeed:
        return None
    chosen = run.config.get("model.init_args.optimizer")
    if not needs_matrices(chosen):
        return None
    return (
        f"model.init_args.optimizer: {chosen.class_path} needs matrices, and {run.strategy} gives "
        "optimizers flat parts; take configs/strategy/fsdp2.yaml, or torch.optim.AdamW"
    )


def sharded_8_bit(run: Invocation) -> str | None:
    """An optimizer of bitsandbytes, whose blocks of weights are none of a shard's."""
    chosen = run.config.get("model.init_args.optimizer")
    path = str(chosen.get("class_path")) if isinstance(chosen, Namespace) else ""
    if run.command != "fit" or not run.is_fsdp2 or not path.startswith("bitsandbytes."):
        return None
    return (
        f"model.init_args.optimizer: {path} cannot step on the shards of {run.strategy}; take "
        "configs/strategy/ddp.yaml, or torch.optim.AdamW"
    )


def uneven_heads(run: Invocation) -> str | None:
    """Heads that cannot be shared out, in the options of any network of a config."""
    found = {origin.key: origin.value for origin in run.model}
    for key, heads in found.items():
        stem, _, name = key.rpartition(".")
        if name != "num_attention_heads" or not is_count(heads):
            continue
        shared = found.get(f"{stem}.num_key_value_heads")
        if is_count(shared) and heads % shared:
            return (
                f"model.{stem}: num_key_value_heads is {shared}, which does not divide "
                f"num_attention_heads, {heads}"
            )
    return None


def is_count(value: Any) -> bool:
    """Whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def not_a_number(run: Invocation) -> str | None:
    """A NaN where an option takes a number: no run means it."""
    for key, value in run.config.items():
        if any(isinstance(one, float) and isnan(one) for one in leaves(value)):
            return f"{key} is not a number (nan)"
    return None


def leaves(value: Any) -> Iterator[Any]:
    """Everything within lists and dictionaries."""
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for one in inner:
            yield from leaves(one)
    else:
        yield value
