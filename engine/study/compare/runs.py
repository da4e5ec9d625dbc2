"""Runs to be compared: what each is called, its settings, and what it logged."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

from engine.config.suggestions import nearest
from engine.study.results import CONFIG, METRICS, Curve, curves, numbered, record, settings

LOWER = re.compile(
    r"loss|error|perplexity|bits|nats|distance|frechet|fid|norm|skipped|bytes|rejected|gap", re.I
)
"""Quantities of which less is better; of all others more is."""


@dataclass(frozen=True)
class Run:
    """A run, or several that belong together, as a training and its test.

    Attributes:
        name: What it is called in tables.
        folders: Of the runs; the settings are those of the first.
    """

    name: str
    folders: Sequence[Path]

    @property
    def settings(self) -> dict[str, Any]:
        """The config, by dotted key."""
        return settings(self.folders[0])

    @property
    def curves(self) -> dict[str, Curve]:
        """What was logged."""
        return curves(self.folders)

    @property
    def state(self) -> str:
        """How it ended."""
        return str(record(self.folders[-1]).get("state", "unknown"))


def found(paths: Sequence[str]) -> list[Run]:
    """The runs that some paths name: run folders, or folders of numbered runs, the newest of each.

    Raises:
        FileNotFoundError: There is none; names one that is like it.
    """
    folders = [run_folder(Path(path)) for path in paths]
    names = distinct([folder.resolve() for folder in folders])
    return [Run(name, [folder]) for name, folder in zip(names, folders, strict=True)]


def run_folder(path: Path) -> Path:
    """The run folder that a path names."""
    if any((path / name).is_file() for name in (METRICS, CONFIG)):
        return path
    runs = numbered(path)
    if runs:
        return runs[-1]
    if not path.is_dir():
        near = [str(one) for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise FileNotFoundError(f"{path}: there is no such run{nearest(str(path), near)}")
    raise FileNotFoundError(
        f"{path} is no run folder: it holds neither {METRICS} nor {CONFIG} nor numbered runs"
    )


def distinct(folders: Sequence[Path]) -> list[str]:
    """Names of folders: the parts of their paths that they do not all share."""
    if len(set(folders)) < len(folders):
        twice = next(one for one in folders if folders.count(one) > 1)
        raise ValueError(f"{twice} is named twice")
    shared = Path(commonpath([folder.parent for folder in folders]))
    return [str(folder.relative_to(shared)) for folder in folders]


def differing(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Keys whose values are not the same in all runs, in the order of the configs."""
    keys = dict.fromkeys(key for one in runs.values() for key in one)
    tables = list(runs.values())
    return [key for key in keys if any(one.get(key) != tables[0].get(key) for one in tables[1:])]


def is_lower_better(name: str) -> bool:
    """Whether less of a quantity is better, by its name."""
    return bool(LOWER.search(name.rpartition("/")[2])) or name == "learning_rate"
