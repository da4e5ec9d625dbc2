"""The nearest right name for a wrong one. Imports nothing: only what is loaded is looked at."""

import argparse
import pkgutil
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from jsonargparse import ArgumentParser

from engine.config.origins import shown

CONFIGS = Path(__file__).parents[2] / "configs"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the most similar known name, or nothing."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser, with dashes."""
    return [flag for action in parser._actions for flag in action.option_strings]


def keys(parser: argparse.ArgumentParser) -> list[str]:
    """Dotted names of the arguments of a parser."""
    return [action.dest for action in parser._actions if action.dest not in ("help", "config")]


def keys_of(class_path: str | None) -> list[str]:
    """Dotted names of the arguments of a class or function that is already loaded."""
    module, _, name = (class_path or "").rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    parser = ArgumentParser()
    if isinstance(found, type):
        parser.add_class_arguments(found, fail_untyped=False)
    elif callable(found):
        parser.add_function_arguments(found, fail_untyped=False)
    return keys(parser)


def first_unknown(key: str, known: list[str]) -> tuple[str, str]:
    """The shortest prefix of a dotted key that is not known, and a hint at the right one."""
    names = key.split(".")
    for depth in range(len(names)):
        before = "".join(f"{name}." for name in names[:depth])
        level = {k[len(before) :].split(".")[0] for k in known if k.startswith(before)}
        if names[depth] not in level:
            return before + names[depth], nearest(names[depth], level) or listed(level)
    return key, ""


def listed(names: Iterable[str]) -> str:
    """All names, where they are few."""
    few = sorted(names)
    return f"; there are {', '.join(few)}" if 0 < len(few) <= 12 else ""


def nearest_member(module: str, name: str) -> str:
    """A hint at a class or function of a loaded module."""
    members = vars(sys.modules[module]) if module in sys.modules else {}
    return nearest(name, [key for key, value in members.items() if callable(value)])


def nearest_module(missing: str) -> str:
    """A hint at a neighbour of a module that does not exist."""
    package = missing.rpartition(".")[0]
    neighbours = getattr(sys.modules.get(package), "__path__", [])
    return nearest(missing, [f"{package}.{m.name}" for m in pkgutil.iter_modules(neighbours)])


def nearest_config(path: Path) -> str:
    """A hint at an existing file below `configs/`."""
    known = [shown(file) for file in sorted(CONFIGS.rglob("*.yaml"))]
    return nearest(str(path), known) or nearest(path.name, [Path(k).name for k in known])
