"""The command line: `python cli.py fit --config configs/causal_lm/tiny.yaml`."""

import logging
import signal
import sys
import warnings
from enum import Enum
from typing import Any

import yaml
from jsonargparse import Namespace, set_parsing_settings
from lightning import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from typing_extensions import override

from engine.commands.command import (
    WIRED,
    PreparedCommand,
    commands,
    config_commands,
    plain_commands,
)
from engine.config.layers import BASE, taken_back, with_bases
from engine.config.origins import config_files
from engine.config.parser import PlainParser, end, refuse_arguments
from engine.config.trust import importable
from engine.preflight.combinations import refuse_impossible
from engine.ranks.messages import print_once
from engine.run.hooks import skip_idle_hooks
from engine.run.interruption import signal_behind, sigterm_raised
from engine.run.logger import run_name, settle_loggers
from engine.run.precision import keep_buffers
from engine.run.randomness import StepSeeds
from engine.run.record import RunRecord
from engine.run.trainer import Trainer
from engine.run.weights import EVALUATES, ChosenWeights, WeightsReport, choose

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

ABOUT = (
    "Trains, evaluates, samples from and exports what a config describes. "
    "The options of a system: python cli.py fit --model.help NAME."
)
HELP = {
    "fit": "train, validate on the way, and keep checkpoints",
    "validate": "measure a checkpoint on the validation data",
    "test": "measure a checkpoint on the test data",
    "predict": "continue, answer, draw or score what data.init_args names",
}
"""What each of Lightning's commands does, in a line."""

IDLE = (
    "The dirpath has changed",  # each run has its own
    "The number of training batches",  # rows are logged by optimizer steps
    "Total length of `.*` across ranks is zero",
    "`torch.jit.load` is",
    ".*is_gradient_checkpointing",
)
"""Warnings of libraries about what is as it should be."""

set_parsing_settings(
    omegaconf_absolute_to_relative_paths=True,
    import_path_denylist=["*"],
    import_path_allowlist=importable(),
)

# a saved config holds the names of Lightning's own choices, as of a Timer, and not their classes
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, one: dumper.represent_data(one.value))


class CommandLine(LightningCLI):
    """Lightning's command line with our commands, our messages and no hidden overrides."""

    @override
    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Add Lightning's commands and those of `engine.commands`."""
        super()._add_subcommands(parser, **kwargs)
        added = parser._subcommands_action
        assert added is not None
        for choice in added._choices_actions:
            choice.help = HELP.get(choice.dest, choice.help)
        for name, command in commands().items():
            inner = self.init_parser(**MODE, **OVER_BASE, description=command.summary)
            if name in config_commands():
                self._add_arguments(inner)
                own = inner.add_method_arguments(command, "run", skip=set(WIRED))
                self._subcommand_method_arguments[name] = own
            self._subcommand_parsers[name] = inner
            added.add_subcommand(name, inner, help=command.summary)

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--untrained",
            action="store_true",
            help="validate, test, predict, export, select, doctor: untrained weights are meant",
        )

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.arguments = sys.argv[1:] if args is None else [str(one) for one in list(args)]
        self.given = config_files(self.arguments)
        self.config = parser.parse_args(with_bases(self.arguments))

    @override
    def _parse_ckpt_path(self) -> None:
        """A checkpoint never replaces the user's options; Lightning would let it."""

    @override
    def before_instantiate_classes(self) -> None:
        """Settle where the run is kept and which weights it starts from; refuse what cannot be."""
        command, config = str(self.subcommand), self.config[self.subcommand]
        early = taken_back(self.given)
        if early:
            print_once(early)
        self.prepare_command(command, config)
        runs = settle_loggers(config.trainer, run_name(self.given))
        refuse_impossible(command, config)
        chosen = ChosenWeights()
        if command in ("fit", *EVALUATES):
            chosen = choose(command, config, runs)
            config.ckpt_path = chosen.path if chosen.asked != "hpc" else chosen.asked
        if "weights_only" in config:
            config.weights_only = True  # whatever reads it, and whatever the environment says
        self.weights = WeightsReport(chosen, bool(config.untrained))

    def prepare_command(self, name: str, config: Namespace) -> None:
        """Let a command of ours change the config before it is built, where it wants to."""
        kind = config_commands().get(name)
        self.command = None if kind is None else kind()
        if isinstance(self.command, PreparedCommand):
            self.command.prepare(config, self.build_model)

    def build_model(self, config: Namespace) -> tuple[LightningModule, LightningDataModule]:
        """The model and the data of a config that was parsed for this command."""
        parser = self._subcommand_parsers[str(self.subcommand)]
        parts = Namespace(model=config.model, data=config.data)
        built = parser.instantiate_classes(parts)
        return built.model, built.data

    @override
    def instantiate_classes(self) -> None:
        """Build everything; what a class has against its arguments is reported in one line."""
        try:
            super().instantiate_classes()
        except Exception as error:
            refuse_arguments(error)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        seeds = StepSeeds(int(self.config[self.subcommand].seed_everything))
        self.notes = RunRecord(self.arguments, self.weights)
        callbacks[:0] = [self.weights, self.notes, seeds]
        skip_idle_hooks(callbacks)
        keep_buffers(trainer)
        assert isinstance(trainer, Trainer)
        trainer.weights = self.weights
        return trainer

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        with sigterm_raised(), self.notes.kept():
            if self.command is None:
                super()._run_subcommand(subcommand)
            else:
                self.command.run(self.trainer, **self._prepare_subcommand_kwargs(subcommand))


def is_news(record: logging.LogRecord) -> bool:
    """Whether a library has more to say than that this machine has no GPU."""
    return "Setting accelerator to CPU" not in record.getMessage()


def main(args: ArgsType = None) -> None:
    """Run a subcommand; tests call it with `args` and so run what users run.

    What our code refuses, wherever it happens, is one line and exit code 2. Ended by SIGTERM or
    Ctrl-C, a training saves at the end of its step, and the exit code is 143 or 130.
    """
    given = sys.argv[1:] if args is None else args
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no advertisements
    logging.getLogger("DeepSpeed").addFilter(is_news)
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    for message in IDLE:
        warnings.filterwarnings("ignore", message=message)
    try:
        if isinstance(given, list) and given[:1] and given[0] in plain_commands():
            plain_commands()[given[0]]().main(given[1:], main)
            return
        CommandLine(
            **BUILT,
            parser_kwargs={
                **MODE,
                "description": ABOUT,
                **{verb: MODE | OVER_BASE for verb in CommandLine.subcommands()},
            },
            save_config_kwargs={"overwrite": True},
            args=args,
        )
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except SystemExit as error:
        if signal_behind(error) == signal.SIGINT.name:  # Lightning makes a 1 of it
            error.code = 128 + signal.SIGINT
        raise
    except Exception as error:
        end(error)


if __name__ == "__main__":
    main()
