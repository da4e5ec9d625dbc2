"""Builds what a config describes, as `cli.py fit` would, without running it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule

from cli import BASE  # importing it also sets how configs are parsed
from engine.messages import PlainParser
from engine.randomness import StepSeeds
from engine.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """A system, its data, and the options of its trainer, already built once."""

    model: LightningModule
    data: LightningDataModule
    parser: PlainParser
    config: Any

    def trainer(self, **changes: Any) -> Trainer:
        """A new trainer with its own callbacks; `changes` replace options of the config."""
        options = self.parser.instantiate_classes(self.config.clone()).trainer
        trainer = Trainer(**{**options, **changes})
        trainer.callbacks.insert(0, StepSeeds(int(self.config.seed_everything)))
        return trainer


def configured(configs: Sequence[Path | str], *overrides: str) -> Run:
    """Read configs over configs/base.yaml.

    Args:
        configs: Files, later ones win.
        overrides: As on the command line, `--trainer.max_steps=3`.
    """
    parser = PlainParser(parser_mode="omegaconf+", default_config_files=[str(BASE)])
    parser.add_argument("--config", action="config")
    parser.add_argument("--seed_everything", type=int)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True)
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
    config = parser.parse_args([*(f"--config={path}" for path in configs), *overrides])
    built = parser.instantiate_classes(config)
    return Run(built.model, built.data, parser, config)
