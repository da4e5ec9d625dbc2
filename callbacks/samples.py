"""Samples while training: text files in the run folder."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from typing_extensions import override

from callbacks.validation_sampling import ValidationSampling


@runtime_checkable
class TextSampler(Protocol):
    """A system that continues prompts.

    It may have a method `check_prompts(prompts)`, which raises a ValueError where they cannot be
    continued.
    """

    def sample(self, prompts: list[str]) -> list[str]:
        """Prompts with their continuations."""
        ...


class TextSamples(ValidationSampling):
    """Continues fixed prompts after every validation, with the weights that were validated.

    A sample that cannot be drawn never ends a training.

    Args:
        prompts: What to continue, at least one; an empty one starts a document.
    """

    what = "sample"

    def __init__(self, prompts: list[str]):
        super().__init__()
        if not prompts:
            raise ValueError("prompts must hold at least one text; an empty one starts a document")
        self.prompts = prompts

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, TextSampler):
            raise TypeError(f"{type(pl_module).__name__} has no sample(prompts)")

    @override
    def foresee(self, pl_module: L.LightningModule) -> None:
        check = getattr(pl_module, "check_prompts", None)
        if check is not None:
            check(self.prompts)

    @override
    def draw(self, pl_module: L.LightningModule) -> list[str]:
        assert isinstance(pl_module, TextSampler)
        torch.manual_seed(0)  # always the same draws: texts differ by the weights alone
        return pl_module.sample(self.prompts)

    @override
    def write(self, drawn: Any, folder: Path, step: int) -> str:
        text = "\n\n---\n\n".join(drawn) + "\n"
        (folder / f"step_{step:07d}.txt").write_text(text, errors="backslashreplace")
        return shorten(drawn[0])


def shorten(text: str, length: int = 160) -> str:
    """A text on one line, cut at a length."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[:length] + " ..."
