"""Samples while training: text files in the run folder."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L
import torch
from typing_extensions import override


@runtime_checkable
class Sampler(Protocol):
    """A system that continues prompts."""

    def sample(self, prompts: list[str]) -> list[str]:
        """Prompts with their continuations."""


class TextSamples(L.Callback):
    """Continues fixed prompts after every validation, with the weights that were validated.

    Args:
        prompts: What to continue; an empty one starts a document.
    """

    def __init__(self, prompts: list[str]):
        self.prompts = prompts

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, Sampler):
            raise TypeError(f"{type(pl_module).__name__} has no sample(prompts)")

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.logger is None:
            return
        assert isinstance(pl_module, Sampler)
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same dice at every step: texts differ by the weights alone
            texts = pl_module.sample(self.prompts)
        if trainer.is_global_zero and trainer.logger.log_dir:
            step = trainer.global_step
            folder = Path(trainer.logger.log_dir) / "samples"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"step_{step:07d}.txt").write_text("\n\n---\n\n".join(texts) + "\n")
            trainer.print(f"step {step} sample: {shorten(texts[0])}")


def shorten(text: str, length: int = 160) -> str:
    """A text on one line, cut at a length."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[:length] + " ..."
