"""Options that only what is built can judge, tried before any data or weight is read."""

from typing import Any

import torch

from engine.messages import refuse


def try_optimizer(model: Any) -> None:
    """Refuse options of optimizer and schedule, unless some number of groups suits them.

    Args:
        model: A system; others build their optimizers themselves.
    """
    make_optimizer = getattr(model, "make_optimizer", None)
    make_scheduler = getattr(model, "make_scheduler", None)
    if make_optimizer is None or make_scheduler is None:
        return
    reasons = [reason_against(make_optimizer, make_scheduler, number) for number in (1, 2, 3)]
    if all(reasons):
        refuse(f"model.init_args.{reasons[0]}")


def reason_against(make_optimizer: Any, make_scheduler: Any, number: int) -> str | None:
    """What optimizer or schedule have against some groups of small matrices, their key first."""
    weights = [torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(number)]
    key = "optimizer"
    try:
        optimizer = make_optimizer([{"params": [w], "is_hidden": True} for w in weights])
        key = "scheduler"
        make_scheduler(optimizer)
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        return f"{key}: {error}"
    return None
