"""Stages of the data, and those that each command of the trainer reads."""

from typing import Literal

Stage = Literal["train", "validate", "test"]
STAGES: dict[str, tuple[Stage, ...]] = {
    "fit": ("train", "validate"),
    "validate": ("validate",),
    "test": ("test",),
    "predict": (),
}
"""Stages that each command of the trainer reads."""
