"""What a command is, and which there are.

A command is a class with a `summary` in a module of this package, which gives it its name. Nothing
else lists it: the parser, `--help` and the hints for misspelt commands all look here.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules
from typing import Any, Protocol, cast, runtime_checkable

import lightning as L
from jsonargparse import Namespace

import engine.commands


class ConfigCommand(Protocol):
    """A command that reads a config as `fit` does; its options are the arguments of `run`."""

    summary: str
    """What it does, in a line."""

    def run(
        self, trainer: L.Trainer, model: L.LightningModule, datamodule: Any, **options: Any
    ) -> None:
        """Do it.

        Args:
            trainer: Of the config.
            model: Of the config; its network is not built yet.
            datamodule: Of the config.
            options: Those of the command line.
        """


@runtime_checkable
class PreparedCommand(Protocol):
    """A command that changes what was parsed before it is built."""

    def prepare(self, config: Namespace, build: Callable[[Namespace], tuple[Any, Any]]) -> None:
        """Change it.

        Args:
            config: What was parsed; changed in place.
            build: Makes the model and the data of such a config.
        """


class PlainCommand(Protocol):
    """A command that reads its command line by itself."""

    summary: str
    """What it does, in a line."""

    def main(self, args: list[str], command_line: Callable[[list[str]], None]) -> None:
        """Do it.

        Args:
            args: What follows the command's name.
            command_line: Runs a command line in this process.
        """


WIRED = ("trainer", "model", "datamodule")
"""Arguments of `ConfigCommand.run` that a config gives."""


@cache
def commands() -> dict[str, type[ConfigCommand] | type[PlainCommand]]:
    """The class of each command, by name."""
    found: dict[str, Any] = {}
    for module in iter_modules(engine.commands.__path__):
        path = f"{engine.commands.__name__}.{module.name}"
        for _, kind in getmembers(import_module(path), isclass):
            if kind.__module__ == path and isinstance(getattr(kind, "summary", None), str):
                found[module.name] = kind
    return found


def config_commands() -> dict[str, type[ConfigCommand]]:
    """Those that read a config."""
    named = commands().items()
    return {name: cast(type[ConfigCommand], kind) for name, kind in named if hasattr(kind, "run")}


def plain_commands() -> dict[str, type[PlainCommand]]:
    """Those that read their command line by themselves."""
    named = commands().items()
    return {name: cast(type[PlainCommand], kind) for name, kind in named if hasattr(kind, "main")}
