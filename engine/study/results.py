"""What a run has left: the quantities that it logged by step, its settings, and how it ended."""

import csv
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

METRICS = "metrics.csv"
CONFIG = "config.yaml"
RECORD = "run.json"
HOW_RUN = ("trainer.logger", "ckpt_path", "config")
"""Settings of a run that say nothing about what it computes."""
CLASSES = ("class_path", "init_args")
"""Parts of a key that say nothing to a reader."""
Curve = dict[int, float]
"""Values of a quantity by step."""


def numbered(folder: Path) -> list[Path]:
    """The run folders of a cell, or of a config, the oldest first."""
    if not folder.is_dir():
        return []
    runs = [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]
    return sorted(runs, key=lambda path: int(path.name))


def curves(runs: Iterable[Path]) -> dict[str, Curve]:
    """Every quantity that some runs logged; later ones win where they repeat a step.

    A run may still be writing: a row that is not whole yet is left out.
    """
    found: dict[str, Curve] = {}
    for run in runs:
        for row in rows(run / METRICS):
            step = int(row["step"])
            for name, value in row.items():
                if name not in ("step", "epoch"):
                    found.setdefault(name, {})[step] = value
    return {name: dict(sorted(curve.items())) for name, curve in found.items()}


def rows(path: Path) -> list[dict[str, float]]:
    """The numbers of each whole row of a table."""
    text = ""
    with suppress(OSError):
        text = path.read_text(errors="replace")
    whole = text[: text.rfind("\n") + 1]
    read = [numbers(row) for row in csv.DictReader(StringIO(whole))]
    return [row for row in read if "step" in row]


def numbers(row: Mapping[str | None, Any]) -> dict[str, float]:
    """What of a row is a number; a header that is being rewritten fits no row."""
    found: dict[str, float] = {}
    for name, value in row.items():
        with suppress(TypeError, ValueError):
            found[str(name)] = float(value)
    return found


def last(curve: Curve) -> float:
    """The value at the last step."""
    return curve[max(curve)]


def best(curve: Curve, is_lower: bool) -> float:
    """The lowest or highest value that is finite; the last where none is."""
    finite = [value for value in curve.values() if isfinite(value)]
    return (min if is_lower else max)(finite, default=last(curve))


def settings(run: Path) -> dict[str, Any]:
    """The config of a run by dotted key, without what says where and how it was run."""
    path = run / CONFIG
    flat = leaves(yaml.safe_load(path.read_text())) if path.is_file() else {}
    return {key: value for key, value in flat.items() if not key.startswith(HOW_RUN)}


def leaves(value: Any, key: str = "") -> dict[str, Any]:
    """Every value that holds no others, by its dotted key; a list of plain values is one."""
    inner: Iterable[tuple[str, Any]]
    if isinstance(value, dict) and value:
        inner = ((f"{key}.{name}" if key else str(name), one) for name, one in value.items())
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = ((f"{key}[{index}]", one) for index, one in enumerate(value))
    else:
        return {key: value}
    return {name: one for path, below in inner for name, one in leaves(below, path).items()}


def record(run: Path) -> dict[str, Any]:
    """Command, commit, weights, and how a run ended; nothing where it has no record."""
    with suppress(OSError, ValueError):
        return dict(json.loads((run / RECORD).read_text()))
    return {}


def short_value(key: str, value: Any) -> Any:
    """A setting as a reader wants it: of a class its name."""
    return str(value).rpartition(".")[2] if key.endswith("class_path") and value else value


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Of each dotted key its shortest end that no other has; `optimizer` of its class_path."""
    parts = {key: [p for p in key.split(".") if p not in CLASSES] or [key] for key in keys}
    found: dict[str, str] = {}
    for key, names in parts.items():
        others = [other for other in parts.values() if other != names]
        sizes = range(1, len(names) + 1)
        free = (n for n in sizes if all(other[-n:] != names[-n:] for other in others))
        found[key] = ".".join(names[-next(free, len(names)) :])
    return found
