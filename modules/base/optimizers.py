"""Optimizers and schedules of a config: their parameters, and how a resumed run follows them."""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

Options = list[dict[str, Any]]
"""Learning rate, betas, decay and the like of every group of an optimizer."""


def decayed_or_not(
    parameters: list[nn.Parameter], hidden: Iterable[nn.Parameter], **options: Any
) -> Options:
    """Groups of matrices, with weight decay, and of vectors (norms, biases), without.

    Args:
        parameters: Trainable ones.
        hidden: Parameters inside transformer blocks; their matrices are a group of their own,
            marked `is_hidden`, for optimizers that treat them apart.
        options: Of all groups.
    """
    inside = {id(p) for p in hidden}
    matrices = [p for p in parameters if p.ndim >= 2]
    groups: Options = [
        {"params": [p for p in matrices if id(p) in inside], "is_hidden": True},
        {"params": [p for p in matrices if id(p) not in inside], "is_hidden": False},
        {"params": [p for p in parameters if p.ndim < 2], "is_hidden": False, "weight_decay": 0.0},
    ]
    return [group | options for group in groups if group["params"]]


def options_of(optimizer: Optimizer) -> Options:
    """Options of an optimizer's groups, without their parameters."""
    return [
        {key: deepcopy(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def check_watch(schedule: Any) -> str | None:
    """The quantity that a schedule watches; None where it only counts steps.

    Raises:
        ValueError: It must watch something and does not say what.
    """
    if not isinstance(schedule, ReduceLROnPlateau):
        return None
    monitor = getattr(schedule, "monitor", None)
    if not monitor:
        raise ValueError(
            "torch.optim.lr_scheduler.ReduceLROnPlateau does not say what it watches: take "
            "engine.optim.schedules.Plateau, whose init_args have a monitor, such as validate/loss"
        )
    return str(monitor)


def refuse_unseen(watched: str, given: Iterable[str]) -> None:
    """Refuse to continue with a schedule that has not seen what it watches.

    Raises:
        ValueError: Names the quantities that a validation logs.
    """
    raise ValueError(
        f"the schedule watches {watched}, which a validation does not give; there are "
        f"{', '.join(sorted(given))}"
    )


def described(options: Mapping[str, Any], groups: Options | None = None) -> dict[str, Any]:
    """What is known of an optimizer and its schedule, for comparison.

    Args:
        options: Of a system, with `class_path` and `init_args` of its optimizer and scheduler; what
            was given in other forms is not known.
        groups: What the optimizer's groups begin with, if that is known.
    """
    given = {name: options.get(name) for name in ("optimizer", "scheduler")}
    known = {name: value if isinstance(value, Mapping) else None for name, value in given.items()}
    return known | {"groups": groups}


def is_other(saved: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two descriptions differ in anything that both contain."""
    both = [name for name in saved if saved[name] is not None and now.get(name) is not None]
    return any(plain(saved[name]) != plain(now[name]) for name in both)


def plain(value: Any) -> str:
    """A description as text; lists and tuples are alike."""
    return json.dumps(value, sort_keys=True, default=str)


def set_options(optimizer: Optimizer, wanted: Options) -> None:
    """Give every group these options and no others."""
    for group, options in zip(optimizer.param_groups, wanted, strict=True):
        parameters = group["params"]
        group.clear()
        group.update(deepcopy(options), params=parameters)


def scale_rates(optimizer: Optimizer, saved: Options, wanted: Options) -> None:
    """Give every group new options, its learning rate as much below the new one as below the old.

    Args:
        optimizer: Changed in place.
        saved: What its groups began with.
        wanted: What they would begin with now.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    set_options(optimizer, wanted)
    for group, rate, old in zip(optimizer.param_groups, rates, saved, strict=True):
        group["lr"] *= rate / old["lr"]


def advance(schedule: LRScheduler, num_steps: int) -> None:
    """Bring a fresh schedule to where it is after a number of steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there was no step of the optimizer in between
        if isinstance(schedule, LambdaLR) and num_steps:  # a formula of the number alone
            schedule.last_epoch = num_steps - 1
            num_steps = 1
        for _ in range(num_steps):
            schedule.step()


def restarted_schedule(
    optimizer: Optimizer, wanted: Options, make: Callable[[Any], Any], num_steps: int
) -> LRScheduler:
    """The schedule of a run that had these options from its first step, after a number of steps.

    Args:
        optimizer: Its options are set to those of that run.
        wanted: What its groups begin with.
        make: Makes the schedule from the optimizer.
        num_steps: Optimizer steps so far.
    """
    set_options(optimizer, wanted)
    schedule: LRScheduler = make(optimizer)
    advance(schedule, num_steps)
    return schedule


def built(key: str, builder: Callable[[Any], Any], given: Any) -> Any:
    """What a builder of the config makes.

    Raises:
        ValueError: It refuses its options or what it is given; names the key.
    """
    try:
        return builder(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model.init_args.{key}: {error}") from error


def clips_itself(strategy: Any) -> bool:
    """Whether a strategy clips gradients, which it alone holds: DeepSpeed, ours or Lightning's."""
    held: bool = strategy.handles_gradient_accumulation
    return held or getattr(strategy, "clips_gradients", False)
