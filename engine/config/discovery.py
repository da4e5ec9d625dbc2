"""What a config may name, for help: classes are known once their modules are imported."""

import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from inspect import isabstract
from pathlib import Path

from lightning import LightningDataModule, LightningModule

from engine.config.trust import added_packages, allowed, path_of

PACKAGES = ("modules", "datamodules", "callbacks", "engine")
ROOT = Path(__file__).parents[2]
HELP = re.compile(r"--(?P<slot>\w+)(?:\.[\w.]+)?\.help(?:=.*)?")
"""A flag that asks for the help of a class."""
SLOTS = {"model": ("modules", "engine"), "data": ("datamodules",)}
"""Which packages the classes of a section lie in; in all of them where it is another."""
BASES = {"--model.help": LightningModule, "--data.help": LightningDataModule}
"""What the classes of a section descend from."""


def import_asked(args: Sequence[str]) -> None:
    """Import the packages whose classes a command line asks the help of.

    So `--model.help LMFusion` finds a system by its short name, and its help lists what there is.
    `--model.help` or `--data.help` alone ends with the names of all systems or datamodules.
    """
    for number, arg in enumerate(args):
        match = HELP.fullmatch(arg)
        if match is None:
            continue
        for package in SLOTS.get(match["slot"], PACKAGES):
            import_package(package)
        for package in added_packages():
            with suppress(Exception):
                import_module(package)
        is_alone = "=" not in arg and (number + 1 == len(args) or args[number + 1].startswith("-"))
        if arg in BASES and is_alone:
            print(f"{arg} takes one of", *names_below(BASES[arg]), sep="\n  ")
            raise SystemExit(0)


def names_below(base: type) -> list[str]:
    """Where the classes below a base class are that a config may name, sorted."""
    below, found = [base], set()
    while below:
        one = below.pop()
        below += one.__subclasses__()
        if allowed(one) and not isabstract(one):
            found.add(path_of(one))
    return sorted(found)


def import_package(package: str) -> None:
    """Import every module of a package of ours; those that lack something are left out."""
    for file in sorted((ROOT / package).rglob("*.py")):
        path = file.relative_to(ROOT).with_suffix("")
        with suppress(Exception):
            import_module(".".join(part for part in path.parts if part != "__init__"))
