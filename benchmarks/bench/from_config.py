"""Builds what a config describes, as `cli.py fit` would, without running it."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningCLI
from typing_extensions import override

from cli import BUILT, MODE, OVER_BASE, CommandLine
from engine.run.hooks import skip_idle_hooks
from engine.run.randomness import StepSeeds
from engine.run.trainer import Trainer


class Configured(CommandLine):
    """The model, the data and the trainer of a config."""

    @override
    def before_instantiate_classes(self) -> None:
        """No command, so nothing to check for one."""

    @override
    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        trainer = LightningCLI.instantiate_trainer(self, **kwargs)
        seeds = StepSeeds(int(self.config.seed_everything))
        trainer.callbacks.insert(0, seeds)  # type: ignore[attr-defined]
        skip_idle_hooks(trainer.callbacks)  # type: ignore[attr-defined]
        assert isinstance(trainer, Trainer)
        return trainer

    def fresh_trainer(self) -> Trainer:
        """A trainer that has not trained yet, with callbacks and a run folder of its own."""
        kept = self.model, self.datamodule
        self.instantiate_classes()
        trainer = self.trainer
        assert isinstance(trainer, Trainer)
        self.model, self.datamodule = kept
        return trainer


def configured(configs: Sequence[Path | str], *overrides: str) -> Configured:
    """Read configs over what lies under them, as `cli.py` does, and build them.

    Args:
        configs: Files; later ones win.
        overrides: As on the command line, `--trainer.max_steps=3`.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    return Configured(
        **BUILT,
        save_config_callback=None,
        parser_kwargs=MODE | OVER_BASE,
        args=[*(f"--config={path}" for path in configs), *overrides],
        run=False,
    )
