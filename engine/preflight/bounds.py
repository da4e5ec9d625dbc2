"""Bounds of the numbers that a trainer takes; Lightning finds some of them hours later."""

from collections.abc import Callable
from typing import Any

Bound = tuple[Callable[[Any], bool], str]

NOT_NEGATIVE: Bound = (lambda value: value >= 0, "must not be negative")
AT_LEAST_ONE: Bound = (lambda value: value >= 1, "must be at least 1")
SHARE_OR_NUMBER: Bound = (
    lambda value: value > 0 and (isinstance(value, int) or value <= 1),
    "must be a number of batches, such as 100, or a share of an epoch, at most 1.0",
)
LIMIT: Bound = (
    lambda value: value >= 0 and (isinstance(value, int) or value <= 1),
    "must be a number of batches, or a share of them, at most 1.0",
)

BOUNDS: dict[str, Bound] = {
    "accumulate_grad_batches": AT_LEAST_ONE,
    "check_val_every_n_epoch": AT_LEAST_ONE,
    "gradient_clip_val": NOT_NEGATIVE,
    "limit_predict_batches": LIMIT,
    "limit_test_batches": LIMIT,
    "limit_train_batches": LIMIT,
    "limit_val_batches": LIMIT,
    "log_every_n_steps": NOT_NEGATIVE,
    "max_skipped_steps": AT_LEAST_ONE,
    "num_nodes": AT_LEAST_ONE,
    "overfit_batches": LIMIT,
    "reload_dataloaders_every_n_epochs": NOT_NEGATIVE,
    "val_check_interval": SHARE_OR_NUMBER,
}
"""Options of the trainer that are numbers."""

READ_BY = {
    "fit": "limit_train_batches",
    "validate": "limit_val_batches",
    "test": "limit_test_batches",
    "predict": "limit_predict_batches",
}
"""What a command reads, by the option that limits it."""


def out_of_bounds(name: str, value: Any) -> str | None:
    """Why a number cannot be an option of the trainer, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    is_right, rule = BOUNDS[name]
    return None if is_right(value) else f"trainer.{name} is {value}; it {rule}"
