"""Modules are those of this repository, and so are files found relative to a module."""

import ast
import re
from pathlib import Path

import pytest

import callbacks
import datamodules
import engine
import modules

ROOT = Path(__file__).parents[1]
OURS = ("benchmarks", "callbacks", "cli", "datamodules", "engine", "modules", "tests")
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
    """Targets of the paths that a file builds relative to itself."""
    folders = []
    for up, down in FOUND_FROM.findall(file.read_text()):
        levels = re.findall(r"\[(\d+)\]|(\.parent\b)", up)
        num = sum(int(level) + 1 if level else 1 for level, _ in levels)
        folders.append(file.parents[num - 1].joinpath(*re.findall(r'"([^"]+)"', down)))
    return folders


@pytest.mark.parametrize("file", sorted(FILES), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_finds_from_its_own_place_is_there(file):
    for path in counted(file):
        is_home = path in (ROOT, file.parent)
        assert path.exists(), path
        assert is_home or path not in file.parents, f"{path} is neither the repository nor its own"


def defined(file: Path) -> set[str]:
    """Names that a module defines or imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def missing_imports(file: Path) -> list[str]:
    """Names that a file imports from ours, at any depth, and that are not there."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if is_of_ours(node)]
    homes = {node.module: ROOT.joinpath(*node.module.split(".")) for node in nodes}
    held = {
        name: defined(home.with_suffix(".py")) if not home.is_dir() else names_in(home)
        for name, home in homes.items()
    }
    pairs = [(node.module, alias.name) for node in nodes for alias in node.names]
    return [f"{module}.{name}" for module, name in pairs if name not in held[module]]


def is_of_ours(node: ast.AST) -> bool:
    """Whether a node imports names from one of our modules."""
    return isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OURS


def names_in(folder: Path) -> set[str]:
    """Modules and packages of a folder."""
    return {path.stem for path in folder.iterdir()}


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_every_name_that_a_file_imports_from_ours_is_there(folder):
    # mypy does not read tests, and collecting them runs no import inside a function
    files = sorted((ROOT / folder).rglob("*.py"))
    assert [(str(file), missing) for file in files if (missing := missing_imports(file))] == []
