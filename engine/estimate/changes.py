"""Changes to a config that save memory, each as an edit of what was parsed."""

from collections.abc import Callable
from dataclasses import dataclass

from jsonargparse import Namespace

from engine.estimate.rank_memory import StrategyName

LOSS_CHUNK = 2048
"""Positions whose logits are held at a time, as our large configs have it."""
EIGHT_BIT = "bitsandbytes.optim.AdamW8bit"
"""Keeps the moments of AdamW in 8 bits (Dettmers et al., 2022)."""
RANK = 16
"""Of suggested adapters."""
LORA = f"'{{rank: {RANK}, alpha: {2.0 * RANK}}}'"
"""The same on a command line."""


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        option: What to say on the command line.
        edit: Changes a config in place; returns whether there was something to change.
        strategies: Where it can be; everywhere where empty.
    """

    option: str
    edit: Callable[[Namespace], bool]
    strategies: tuple[StrategyName, ...] = ()


def set_last(config: Namespace, name: str, old: object, new: object) -> bool:
    """Set every key of the model of some name that has an old value."""
    keys = [key for key, value in config.items() if key.startswith("model.") and value == old]
    found = [key for key in keys if key.rpartition(".")[2] == name]
    for key in found:
        config[key] = new
    return bool(found)


def checkpointed(config: Namespace) -> bool:
    """Compute activations of blocks again in backward."""
    return set_last(config, "activation_checkpointing", False, True)


def chunked_loss(config: Namespace) -> bool:
    """Never hold the logits of all positions."""
    return set_last(config, "loss_chunk", None, LOSS_CHUNK)


def smaller_batch(config: Namespace) -> bool:
    """One sample at a time, as many accumulated."""
    size = config.get("data.init_args.batch_size")
    if not isinstance(size, int) or size < 2:
        return False
    given = config.get("trainer.accumulate_grad_batches") or 1
    config["data.init_args.batch_size"] = 1
    config["trainer.accumulate_grad_batches"] = given * size
    return True


def half_weights(config: Namespace) -> bool:
    """Weights, gradients and optimizer states in bfloat16."""
    if not str(config.get("trainer.precision")).startswith(("bf16-mixed", "32")):
        return False
    config["trainer.precision"] = "bf16-true"
    return True


def adapters(config: Namespace) -> bool:
    """Train low-rank adapters alone."""
    return set_last(config, "lora", None, Namespace(rank=RANK, alpha=2.0 * RANK))


def quantised(config: Namespace) -> bool:
    """Adapters on frozen weights in 4 bits."""
    if config.get("model.init_args.network.init_args.lora") is None and not adapters(config):
        return False
    return set_last(config, "quantize", None, "nf4")


def eight_bit(config: Namespace) -> bool:
    """Moments of AdamW in 8 bits; a change of the optimizer's class."""
    key = "model.init_args.optimizer"
    if config.get(f"{key}.class_path") not in ("torch.optim.AdamW", "torch.optim.adamw.AdamW"):
        return False
    given = config[f"{key}.init_args"]
    kept = {name: given.get(name) for name in ("lr", "betas", "eps", "weight_decay")}
    own = Namespace(**{name: value for name, value in kept.items() if value is not None})
    config[key] = Namespace(class_path=EIGHT_BIT, init_args=own)
    return True


def batch_options(config: Namespace) -> str:
    """The options that `smaller_batch` stands for."""
    size = config.get("data.init_args.batch_size") or 1
    given = config.get("trainer.accumulate_grad_batches") or 1
    return (
        f"--data.init_args.batch_size 1 --trainer.accumulate_grad_batches {int(size) * int(given)}"
    )


def changes(config: Namespace) -> list[Change]:
    """All changes, those that change the training least first."""
    network = "--model.init_args.network.init_args"
    return [
        Change(f"{network}.activation_checkpointing true", checkpointed),
        Change(f"{network}.loss_chunk {LOSS_CHUNK}", chunked_loss),
        Change(batch_options(config), smaller_batch),
        Change("--trainer.precision bf16-true", half_weights),
        Change(f"--model.init_args.optimizer {EIGHT_BIT}", eight_bit, ("ddp",)),
        Change(f"{network}.lora {LORA}", adapters),
        Change(f"{network}.lora {LORA} {network}.quantize nf4", quantised, ("ddp",)),
    ]
