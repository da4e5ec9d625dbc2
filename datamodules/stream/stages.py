"""Parts of the data, and which of them each command of the trainer reads."""

from typing import Literal

Stage = Literal["train", "validate", "test"]
STAGES: dict[str, tuple[Stage, ...]] = {
    "fit": ("train", "validate"),
    "validate": ("validate",),
    "test": ("test",),
    "predict": (),
}
"""What each command of the trainer reads."""
