"""One cell of a study: what it is called, the commands it needs, and the receipts of those done.

A cell has a folder of its own. There each of its commands has a config (`fit.yaml`), which together
with the configs that every cell shares is the whole command line; what it printed (`fit.log`); and,
once it has ended well, a receipt (`fit.json`) that keeps it from being run again.
"""

import hashlib
import json
from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse.typing import register_type

from engine.checkpoint.io import newest
from engine.config.layers import layered
from engine.disk.whole import whole


class Options(UserDict[str, Any]):
    """Values by dotted key, `{"trainer.max_steps": 3}`; the parser leaves them as they are.

    In a dictionary it would build the classes that are named.
    """


def as_options(value: Any) -> Options:
    """Options of a config file.

    Raises:
        ValueError: They are no table.
    """
    if not isinstance(value, dict):
        raise ValueError(f"options must be a table of values by dotted key, got {value!r}")
    return Options(value)


register_type(Options, serializer=dict, deserializer=as_options)

Choices = dict[str, str | list[str]]
"""A combination: a choice, or several, of each axis that matters."""


@dataclass(frozen=True)
class Command:
    """A command of every cell.

    Attributes:
        verb: Subcommand of cli.py: fit, validate, test, predict. What comes after a fit starts from
            the newest checkpoint of its cell.
        options: What only this command sets, over the options of the cell.
        only: In which cells it is run: those of one of these combinations; in all where None.
    """

    verb: str = "fit"
    options: Options = field(default_factory=Options)
    only: list[Choices] | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a grid, or one trial of a sweep.

    Attributes:
        choices: What it is of each axis.
        root: Folder of the study.
        configs: Config files that it starts from.
        options: What it sets over them.
        commands: What is run, by name, in this order.
        flags: Options of the command line, over the configs and under what it sets.
    """

    choices: dict[str, str]
    root: Path
    configs: Sequence[str]
    options: Options
    commands: Mapping[str, Command]
    flags: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The choices, as in the path of the folder."""
        return "/".join(self.choices.values())

    @property
    def folder(self) -> Path:
        """Where its runs are."""
        return self.root / self.name

    def prepare(self) -> None:
        """Write the config of every command, with a hash of all its options on top.

        Raises:
            ValueError: A command was begun under another config.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in self.commands:
            if self.config(name).is_file() and self.runs() and self.is_other(name):
                fault = f"{self.folder}: {name} was begun with other options or configs"
                raise ValueError(f"{fault}; give the grid a new folder, or remove this one")
            body = yaml.safe_dump(self.content(name), sort_keys=False)
            write(self.config(name), f"{self.head(name)}\n{body}")

    def head(self, name: str) -> str:
        """First line of the config of a command."""
        return f"# {self.fingerprint(name)}"

    def is_other(self, name: str) -> bool:
        """Whether a command has other options than when its config was written."""
        return self.config(name).read_text().partition("\n")[0] != self.head(name)

    def config(self, name: str) -> Path:
        """The file that makes a command this cell's."""
        return self.folder / f"{name}.yaml"

    def is_trained(self, name: str) -> bool:
        """Whether a fit comes before a command."""
        before = list(self.commands)[: list(self.commands).index(name)]
        return any(self.commands[one].verb == "fit" for one in before)

    def content(self, name: str) -> dict[str, Any]:
        """The content of that file."""
        command = self.commands[name]
        logger = {"root": str(self.root), "name": self.name}
        options = {
            "trainer.logger.class_path": "engine.run.logger.RunLogger",
            "trainer.logger.init_args": logger,
            **({"ckpt_path": "last"} if self.is_trained(name) else {}),
        }
        return nested({**self.options, **command.options, **options})

    def args(self, name: str) -> list[str]:
        """The command line after `python cli.py`, the same at every start."""
        shared = [f"--config={path}" for path in self.configs]
        return [self.commands[name].verb, *shared, *self.flags, f"--config={self.config(name)}"]

    def resumed(self, name: str) -> list[str]:
        """What is added to continue a training that was killed; nothing to begin one."""
        if self.commands[name].verb != "fit" or self.is_trained(name):
            return []
        try:
            newest(self.folder)
        except FileNotFoundError:
            return []
        return ["--ckpt_path=last"]

    def fingerprint(self, name: str) -> str:
        """Hash of all that a command is given, comments and order apart."""
        layers = layered([Path(path) for path in self.configs])
        shared = [yaml.safe_load(path.read_text()) for path in layers]
        given = [self.commands[name].verb, *shared, *self.flags, self.content(name)]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()

    def receipt(self, name: str) -> dict[str, Any] | None:
        """What was noted when a command had ended well; None where it has not."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.is_file() else None

    @property
    def receipts(self) -> list[dict[str, Any]]:
        """Those of all finished commands."""
        return [held for held in map(self.receipt, self.commands) if held]

    def sign(self, name: str, seconds: float) -> None:
        """Note that a command has ended well, and in which run folder."""
        held = {
            "run": max(self.runs(), default=None),
            "seconds": round(seconds, 3),
            "command": ["python", "cli.py", *self.args(name)],
        }
        write(self.folder / f"{name}.json", json.dumps(held, indent=2) + "\n")

    def runs(self) -> list[int]:
        """Numbers of the run folders."""
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]

    @property
    def is_finished(self) -> bool:
        """Whether every command has its receipt."""
        return len(self.receipts) == len(self.commands)

    @property
    def outcome(self) -> dict[str, Path]:
        """Run folder of each finished command that made one."""
        held = {name: self.receipt(name) for name in self.commands}
        return {
            name: self.folder / str(one["run"])
            for name, one in held.items()
            if one is not None and one["run"] is not None
        }


def matches(cell: Mapping[str, str], choices: Choices) -> bool:
    """Whether a cell is of a combination."""
    return all(
        cell[axis] in (wanted if isinstance(wanted, list) else [wanted])
        for axis, wanted in choices.items()
    )


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as a tree; later keys win, and trees are merged.

    Raises:
        ValueError: A key goes below a value that is no tree.
    """
    tree: dict[str, Any] = {}
    for key, value in options.items():
        *path, last = key.split(".")
        at = tree
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise ValueError(f"option {key}: {part} is {at!r} already, nothing goes below it")
        both = isinstance(value, dict) and isinstance(at.get(last), dict)
        at[last] = merged(at[last], value) if both else value
    return tree


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two trees in one; the second wins."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def write(path: Path, content: str) -> None:
    """Write a text file, all or nothing."""
    with whole(path) as draft:
        draft.write_text(content)
