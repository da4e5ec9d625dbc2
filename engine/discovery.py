"""What a config may name, for help: classes are known once their modules are imported."""

import re
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from engine.trust import added_packages

PACKAGES = ("modules", "datamodules", "callbacks", "engine")
ROOT = Path(__file__).parents[1]
HELP = re.compile(r"--(?P<slot>\w+)(?:\.[\w.]+)?\.help(?:=.*)?")
"""A flag that asks for the help of a class."""
SLOTS = {"model": ("modules", "engine"), "data": ("datamodules",)}
"""Which packages the classes of a section lie in; in all of them where it is another."""


def import_asked(args: Iterable[str]) -> None:
    """Import the packages whose classes a command line asks the help of.

    So `--model.help` lists all systems, and `--model.help LMFusion` finds one by its short name.
    """
    for match in filter(None, (HELP.fullmatch(arg) for arg in args)):
        for package in SLOTS.get(match["slot"], PACKAGES):
            import_package(package)
        for package in added_packages():
            with suppress(Exception):
                import_module(package)


def import_package(package: str) -> None:
    """Import every module of a package of ours; those that lack something are left out."""
    for file in sorted((ROOT / package).rglob("*.py")):
        path = file.relative_to(ROOT).with_suffix("")
        with suppress(Exception):
            import_module(".".join(part for part in path.parts if part != "__init__"))
