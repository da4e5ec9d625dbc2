"""Optimizers and schedules of a config tried on three small tensors, before weights are loaded."""

import importlib
import warnings
from typing import Any

import torch
from jsonargparse import Namespace
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

MODEL = "model.init_args"
WATCHING = "torch.optim.lr_scheduler.ReduceLROnPlateau"


def what_fails(config: Namespace, max_steps: int, takes_step: bool) -> str | None:
    """Why optimizer or schedule of a config would fail, or None.

    Args:
        config: What was parsed for a command.
        max_steps: Optimizer steps of the run; -1 where steps do not end it.
        takes_step: Whether a step may be tried on the CPU.
    """
    chosen, schedule = (config.get(f"{MODEL}.{name}") for name in ("optimizer", "scheduler"))
    if not is_class(chosen):
        return None
    try:
        optimizer = try_optimizer(chosen, takes_step)
    except Exception as error:
        hint = hint_for(chosen.class_path)
        return f"{MODEL}.optimizer: {chosen.class_path} {refuses(error)}{hint}"
    if not is_class(schedule):
        return None
    if schedule.class_path == WATCHING:
        return (
            f"{MODEL}.scheduler: {WATCHING} does not say what it watches; take "
            "engine.optim.schedules.Plateau with init_args.monitor, such as validate/loss"
        )
    try:
        made = make(schedule, optimizer)
    except Exception as error:
        return f"{MODEL}.scheduler: {schedule.class_path} {refuses(error)}"
    if isinstance(made, OneCycleLR) and made.total_steps < max_steps:
        return (
            f"{MODEL}.scheduler: OneCycleLR ends after {made.total_steps} steps, and "
            f"trainer.max_steps is {max_steps}"
        )
    return None


def is_class(value: Any) -> bool:
    """Whether a part of a config names a class."""
    return isinstance(value, Namespace) and isinstance(value.get("class_path"), str)


def make(chosen: Namespace, *args: Any) -> Any:
    """An object of a class that a config names."""
    module, _, name = chosen.class_path.rpartition(".")
    options = chosen.get("init_args") or Namespace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)(*args, **options.as_dict())


def try_optimizer(chosen: Namespace, takes_step: bool) -> Optimizer:
    """An optimizer of the groups that systems make: two of matrices, one of vectors."""
    optimizer: Optimizer = make(chosen, groups())
    if takes_step and chosen.class_path.startswith(("torch.", "engine.")):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p)
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def groups() -> list[dict[str, Any]]:
    """Small parameters in the groups of a system."""
    hidden, matrix, vector = (
        torch.zeros(shape, requires_grad=True) for shape in ((2, 2), (2, 2), (2,))
    )
    return [
        {"params": [hidden], "is_hidden": True},
        {"params": [matrix], "is_hidden": False},
        {"params": [vector], "is_hidden": False, "weight_decay": 0.0},
    ]


def refuses(error: Exception) -> str:
    """What a class says, in the middle of a sentence."""
    return f"cannot be used: {' '.join(str(error).split())}"


def hint_for(class_path: str) -> str:
    """What to take instead."""
    if class_path.endswith(".Muon"):
        return "; engine.optim.muon.MuonAdamW gives matrices to Muon and all else to AdamW"
    return "; torch.optim.AdamW can" if class_path.startswith("torch.optim") else ""


def needs_matrices(chosen: Any) -> bool:
    """Whether an optimizer of a config cannot step on flat parts of matrices."""
    if not is_class(chosen):
        return False
    module, _, name = chosen.class_path.rpartition(".")
    kind = getattr(importlib.import_module(module), name, None)
    return bool(getattr(kind, "needs_matrices", False))
