"""Where each key of a configuration is given: in which file, or on the command line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Origin:
    """One key and the value that it is given there.

    Attributes:
        source: A file as the user named it, or `COMMAND_LINE`.
        key: Dotted, as it is written there.
        value: As written; a section is a dict or a list.
        owner: The class_path of the section that holds the key, where that section says it.
    """

    source: str
    key: str
    value: Any
    owner: str | None = None

    @property
    def plain(self) -> str:
        """The key without `init_args`, list positions and the `+` that appends."""
        return plain(self.key)


def plain(key: str) -> str:
    """A dotted key as the parser's messages spell it: `a.init_args.b+[2].c` is `a.b.c`."""
    return re.sub(r"\[\d+\]|\+|\.init_args(?=\.|$)", "", key)


def option_at(args: list[str], index: int) -> tuple[str, str] | None:
    """Name, without dashes, and value of the option that begins at a origin of a command line."""
    if not args[index].startswith("-"):
        return None
    name, joined, value = args[index].partition("=")
    following = args[index + 1] if index + 1 < len(args) else ""
    name = name.lstrip("-")
    return "config" if name == "c" else name, value if joined else following


def options(args: list[str]) -> Iterator[tuple[str, str]]:
    """Names, without dashes, and values of the options of a command line."""
    return filter(None, (option_at(args, index) for index in range(len(args))))


def config_files(args: list[str], defaults: Sequence[str] = ()) -> list[Path]:
    """The layers of a command line that are files, the later the stronger."""
    named = [value for name, value in options(args) if name == "config"]
    return [Path(path) for path in [*defaults, *named]]


def all_origins(args: list[str], defaults: list[str]) -> list[Origin]:
    """Every key that a command line sets, itself or through a file; the strongest first.

    Args:
        args: What follows the command.
        defaults: Files that lie below all others.
    """
    found = [origin for path in defaults for origin in in_file(Path(path))]
    for name, value in options(args):
        if name == "config":
            found += in_file(Path(value))
        else:
            found.append(Origin(COMMAND_LINE, name, value))
    return found[::-1]


def in_file(path: Path) -> list[Origin]:
    """Every key of a YAML file; none where it cannot be read."""
    with suppress(OSError, yaml.YAMLError):
        return list(nested(shown(path), yaml.safe_load(path.read_text())))
    return []


def nested(source: str, node: Any, key: str = "", owner: str | None = None) -> Iterator[Origin]:
    """A section and everything below it."""
    if key:
        yield Origin(source, key, node, owner)
    if isinstance(node, dict):
        inner = node.get("class_path", owner if key.endswith("init_args") else None)
        for name, value in node.items():
            yield from nested(source, value, f"{key}.{name}" if key else str(name), inner)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nested(source, value, f"{key}[{index}]", owner)


def shown(path: Path) -> str:
    """A path as a reader wants it: from the working folder where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def find(origins: list[Origin], key: str, owner: str | None = None) -> Origin | None:
    """The strongest origin of a plain key, best in a section that may be of the class `owner`."""
    named = [origin for origin in origins if origin.plain == key]
    fitting = [origin for origin in named if origin.owner in (owner, None)]
    return next(iter(fitting + named), None)


def class_at(origins: list[Origin], key: str) -> str | None:
    """The class_path that a plain key is given, in either of the two spellings."""
    spelled = [find(origins, f"{key}.class_path"), find(origins, key)]
    return next((p.value for p in spelled if p is not None and isinstance(p.value, str)), None)


def refuse_remote(path: str | Path, what: str) -> None:
    """Refuse an address where a folder or file of this machine is meant.

    Raises:
        ValueError: Names it.
    """
    if re.match(r"[A-Za-z][\w+.-]+:/|registry:|registry$", str(path)):
        raise ValueError(f"{what}: {path} is not on this machine; give a path, and copy the files")
