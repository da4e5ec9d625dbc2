"""Modules are those of this repository, and so are files that are found from their own places."""

import re
from pathlib import Path

import pytest

import callbacks
import datamodules
import engine
import modules

ROOT = Path(__file__).parents[1]
FOUND_FROM = re.compile(r'Path\(__file__\)((?:\.parents\[\d+\]|\.parent)+)((?: / "[^"]+")*)')
"""A path that a file counts from its own place."""
FILES = {
    path
    for folder in ("benchmarks", "callbacks", "datamodules", "engine", "modules", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if FOUND_FROM.search(path.read_text())
}


def test_the_packages_are_ours():
    for package in (modules, datamodules, callbacks, engine):
        assert Path(package.__file__).is_relative_to(ROOT), package.__file__


def counted(file: Path) -> list[Path]:
    """Where the paths lead that a file counts from its own place."""
    found = []
    for up, down in FOUND_FROM.findall(file.read_text()):
        levels = re.findall(r"\[(\d+)\]|(\.parent\b)", up)
        num = sum(int(level) + 1 if level else 1 for level, _ in levels)
        found.append(file.parents[num - 1].joinpath(*re.findall(r'"([^"]+)"', down)))
    return found


@pytest.mark.parametrize("file", sorted(FILES), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_finds_from_its_own_place_is_there(file):
    for path in counted(file):
        is_home = path in (ROOT, file.parent)
        assert path.exists(), path
        assert is_home or path not in file.parents, f"{path} is neither the repository nor its own"
