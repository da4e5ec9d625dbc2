"""The one door: `python cli.py fit --config configs/causal_lm/tiny.yaml`."""

import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, set_parsing_settings
from lightning import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from engine.checkpoint import newest
from engine.checks import refuse_impossible
from engine.grid import main as grid
from engine.hooks import skip_idle_hooks
from engine.messages import PlainParser, refuse, refuse_arguments
from engine.precision import keep_buffers
from engine.randomness import StepSeeds
from engine.run import config_paths, run_name
from engine.trainer import Trainer

BASE = Path(__file__).parent / "configs" / "base.yaml"
TRUSTED = [
    "lightning",
    "torch",
    "bitsandbytes.optim",
    "modules",
    "datamodules",
    "callbacks",
    "engine",
]

MODE: dict[str, Any] = {"parser_mode": "omegaconf+"}
OVER_BASE: dict[str, Any] = {"default_config_files": [str(BASE)]}
BUILT: dict[str, Any] = {
    "model_class": LightningModule,
    "datamodule_class": LightningDataModule,
    "subclass_mode_model": True,
    "subclass_mode_data": True,
    "trainer_class": Trainer,
    "parser_class": PlainParser,
    "seed_everything_default": 1,
    "auto_configure_optimizers": False,
}
"""What every command line of ours builds, and how it is read."""

set_parsing_settings(
    omegaconf_absolute_to_relative_paths=True,
    import_path_denylist=["*"],
    import_path_allowlist=TRUSTED,
)


class Door(LightningCLI):
    """Lightning's command line with our commands, our messages and no hidden overrides."""

    @staticmethod
    @override
    def subcommands() -> dict[str, set[str]]:
        wired = {"model", "datamodule"}
        ours = {"export": wired, "tokenizer": wired, "palette": wired, "latents": wired}
        return {**LightningCLI.subcommands(), **ours}

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.given = config_paths(sys.argv[1:] if args is None else list(args))
        super().parse_arguments(parser, args)

    @override
    def _parse_ckpt_path(self) -> None:
        """A checkpoint never replaces the user's options; Lightning would let it."""

    @override
    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        logger = config.trainer.logger
        if isinstance(logger, Namespace) and "name" in logger.get("init_args", {}):
            logger.init_args.name = logger.init_args.name or run_name(self.given)
            if config.ckpt_path == "last":
                config.ckpt_path = newest_or_refuse(
                    Path(logger.init_args.root, logger.init_args.name)
                )
        refuse_impossible(str(self.subcommand), config)

    @override
    def instantiate_classes(self) -> None:
        """Build everything; what a class has against its arguments is told in one line."""
        try:
            super().instantiate_classes()
        except (OSError, RuntimeError, ValueError) as error:
            refuse_arguments(error)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.insert(0, StepSeeds(int(self.config[self.subcommand].seed_everything)))
        skip_idle_hooks(callbacks)
        keep_buffers(trainer)
        assert isinstance(trainer, Trainer)
        return trainer


def newest_or_refuse(folder: Path) -> str:
    """The newest checkpoint of a config's runs."""
    try:
        return str(newest(folder))
    except FileNotFoundError as error:
        refuse(str(error))


def main(args: ArgsType = None) -> None:
    """Run a subcommand; `args` lets a test enter by the very same door.

    Ended by SIGTERM, a training saves at the end of its step, and the exit code is 143.
    """
    told = sys.argv[1:] if args is None else args
    if isinstance(told, list) and told[:1] == ["grid"]:
        grid(told[1:], main)
        return
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no advertisements
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    warnings.filterwarnings("ignore", message="The dirpath has changed")  # each run has its own
    try:
        Door(
            **BUILT,
            parser_kwargs=MODE | {verb: MODE | OVER_BASE for verb in Door.subcommands()},
            save_config_kwargs={"overwrite": True},
            args=args,
        )
    except SIGTERMException as error:
        error.code = 128 + signal.SIGTERM  # Lightning leaves it at 0
        raise


if __name__ == "__main__":
    main()
