"""What keeps the house in order: names, sizes of folders, who imports whom, and paths in prose."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("modules", "datamodules", "callbacks", "engine", "benchmarks")
EQUALS = {"callbacks", "benchmarks", "engine/commands"}
"""Lists of equals, as long as they like."""
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
SHARED = {
    contract["containers"][0]: {room for layer in contract["layers"] for room in layer.split(" | ")}
    for contract in CONTRACTS
    if contract.get("containers") in (["modules"], ["datamodules"])
}
"""Rooms in the layers of the contracts; every other one is a system's, or a new family of data."""
SYSTEMS_ELSEWHERE = {"detector"}
"""They train by `modules/classifier/system.py` and `modules/causal_lm/system.py`."""
BATCH = re.compile(r"\w*Batch")
"""A TypedDict that a system declares; `PromptBatch` is what each gets for `predict`."""
ROLES = {
    "Builder": "makes the network of a room",
    "FromConfig": "a network from its options",
    "Pretrained": "a network from a folder",
    "Generation": "how a room generates",
    "Codec": "a protocol of the data, and one of the system, about the same classes",
    "Report": "a protocol of the engine about what a grid's report class is",
    "Demonstration": "a protocol of the prompts about what the data supply",
    "Claims": "the claims of a system, a class a script",
    "Scale": "the sizes of a script of claims",
}
"""Names that mean the same role in every room."""
TWO_SUBJECTS = {
    "Group": "documents of like length, runs of images of like size; both are attended in one call",
    "Meter": "a protocol of the callbacks about the class in modules/metrics",
    "Rows": "packed rows of a run, and the two of a probe",
    "Verdict": "of a probe about an architecture, of a judge about two answers",
}
"""Words that are the field's own in two subjects."""
WORKED_EXAMPLE = ROOT / "docs" / "adding_a_system.md"
"""Names files that it asks its reader to write; its own tests follow it to the letter."""
CLASS_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
QUOTED = re.compile(r"`((?:[\w-]+|\.\.?)(?:/[\w.-]+)*\.(?:py|md))(?::(\w+)[\w.]*)?`")
"""A file in back quotes, and a name in it."""


def sources(*packages: str) -> list[Path]:
    """Every module of some packages, but for tests."""
    return [file for name in packages for file in sorted((ROOT / name).rglob("*.py"))]


def prose() -> list[Path]:
    """Every page and config."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("configs/**/*.yaml")]
    rooms = [page for name in PACKAGES for page in ROOT.glob(f"{name}/**/README.md")]
    return sorted({*pages, *rooms} - {WORKED_EXAMPLE})


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def room(file: Path) -> str:
    """The folder below a package; of packages without rooms the package."""
    parts = file.relative_to(ROOT).parts
    return "/".join(parts[:2]) if parts[0] == "modules" else parts[0]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def strings(file: Path) -> Iterator[str]:
    """Docstrings and all other strings of a module."""
    nodes = (node for node in ast.walk(tree(file)) if isinstance(node, ast.Constant))
    return (node.value for node in nodes if isinstance(node.value, str))


def defined(file: Path) -> set[str]:
    """Names at the top of a module, those that it imports included."""
    names = set()
    for node in tree(file).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        names |= {alias.asname or alias.name for alias in getattr(node, "names", [])}
        names |= {node.name} if hasattr(node, "name") else set()
    return names


def exists(path: str) -> bool:
    """Whether a dotted path names a package, a module or what is defined in one."""
    at, names = ROOT, path.split(".")
    for index, name in enumerate(names):
        if not (at / name).is_dir():
            file, rest = at / f"{name}.py", names[index + 1 : index + 2]
            return file.is_file() and (not rest or rest[0] in defined(file))
        at /= name
    return True


def imported(file: Path, package: str) -> set[str]:
    """The rooms of a package that a module imports."""
    nodes = [node for node in ast.walk(tree(file)) if isinstance(node, ast.ImportFrom)]
    return {str(n.module).split(".")[1] for n in nodes if f"{n.module}".startswith(f"{package}.")}


def rooms(package: str) -> list[tuple[str, str]]:
    """The folders and modules at the top of a package."""
    paths = sorted((ROOT / package).glob("[!_]*"))
    return [(package, path.stem) for path in paths if path.is_dir() or path.suffix == ".py"]


def classes() -> dict[str, set[str]]:
    """Of each class name, the rooms that define it."""
    rooms_of = defaultdict(set)
    for file in sources(*PACKAGES):
        for node in tree(file).body:
            if isinstance(node, ast.ClassDef):
                rooms_of[node.name].add(room(file))
    return rooms_of


def test_a_class_name_means_one_thing_in_all_rooms():
    twice = {name: sorted(its_rooms) for name, its_rooms in classes().items() if len(its_rooms) > 1}
    known = {*ROLES, *TWO_SUBJECTS}
    assert {n: r for n, r in twice.items() if n not in known and not BATCH.fullmatch(n)} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_holds_more_than_twelve_modules(package):
    folders = {file.parent for file in sources(package)} - {ROOT / name for name in EQUALS}
    sizes = {shown(folder): len([*folder.glob("[!_]*.py")]) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > 12} == {}


@pytest.mark.parametrize("file", prose(), ids=shown)
def test_every_class_path_in_prose_and_configs_exists(file):
    named = set(CLASS_PATH.findall(file.read_text().replace("benchmarks.NAME", "")))
    assert [path for path in sorted(named) if not exists(path)] == []


def test_every_class_path_in_a_docstring_or_message_exists():
    named = {
        (shown(file), path)
        for file in [*sources(*PACKAGES), ROOT / "cli.py"]
        for text in strings(file)
        for path in CLASS_PATH.findall(text)
    }
    assert {(f, path) for f, path in named if not exists(path) and "NAME" not in path} == set()


@pytest.mark.parametrize("page", [p for p in prose() if p.suffix == ".md"], ids=shown)
def test_every_file_that_a_page_names_exists_and_holds_what_it_says(page):
    for path, name in QUOTED.findall(page.read_text()):
        if "/" not in path and len(page.relative_to(ROOT).parts) <= 2:
            continue  # a name that many folders have, such as system.py
        paths = [base / path for base in (page.parent, ROOT) if (base / path).exists()]
        assert paths, f"{path} is not there"
        assert not name or name in defined(paths[0]), f"{path} has no {name}"


@pytest.mark.parametrize(("package", "name"), [*rooms("modules"), *rooms("datamodules")])
def test_a_room_that_no_contract_names_stands_on_those_that_one_does(package, name):
    may = SHARED[package] if name in SHARED[package] else SHARED[package] | {name}
    files = sources(f"{package}/{name}") or [ROOT / package / f"{name}.py"]
    more = {shown(file): imported(file, package) - may for file in files}
    assert {file: rooms for file, rooms in more.items() if rooms} == {}


@pytest.mark.parametrize("name", sorted({name for _, name in rooms("modules")} - SHARED["modules"]))
def test_a_system_is_known_by_its_system_file(name):
    assert name in SYSTEMS_ELSEWHERE or (ROOT / "modules" / name / "system.py").is_file()
