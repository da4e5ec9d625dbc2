"""What is known of a training: by checkpoint, run folder and base; nothing is guessed."""

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from engine.checkpoint.manifest import entries

NOT_STATED = "not stated"
"""Said of what nothing tells."""
CONFIG, METRICS, RECORD = "config.yaml", "metrics.csv", "run.json"
"""Files of a run folder."""
SOURCES = ("train", "sources")
"""Options of data that list what is trained on; the first that is a list counts."""
LICENCE = re.compile(r"^licen[sc]e:\s*(\S.*?)\s*$", re.MULTILINE)
"""A line in the head of a model card."""


@dataclass(frozen=True)
class Licences:
    """What the user says of licences; None where nothing is said.

    Attributes:
        model: Of the exported weights.
        base: Of the model that they were trained from; its own card is read where None.
        data: Of what they were trained on.
    """

    model: str | None = None
    base: str | None = None
    data: str | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """A training, as far as it is known.

    Attributes:
        sources: Models that the weights started from.
        rows: Name and value of each fact; a missing one is `NOT_STATED`.
        metrics: The last validation before the checkpoint, by name.
        metrics_step: Its optimizer step.
        config: The run's config file; None where there is none.
    """

    sources: list[str]
    rows: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    metrics_step: int | None = None
    config: Path | None = None


def training_facts(
    model: L.LightningModule,
    checkpoint: Mapping[str, Any],
    path: Path | None,
    licences: Licences,
) -> TrainingFacts:
    """Collect what is known.

    Args:
        model: The system, loaded.
        checkpoint: What was loaded; empty where nothing was.
        path: Where it is.
        licences: What the user says.
    """
    run = run_folder(path)
    config = read_yaml(run / CONFIG) if run else {}
    record = read_json(run / RECORD) if run else {}
    sources = list(getattr(model, "sources", []))
    step = checkpoint.get("global_step")
    rows = {
        "base model": ", ".join(sources) or "none: trained from scratch",
        "licence of the base model": base_licence(sources, licences),
        "data": data_of(config),
        "licence of the data": licences.data or NOT_STATED,
        "optimizer steps": f"{step:,}" if isinstance(step, int) else "0: as the config starts",
        "targets": targets_of(checkpoint),
        "seed": stated(config.get("seed_everything")),
        "precision": stated(of(config, "trainer", "precision")),
        "optimizer": optimizer_of(config),
        "config": hash_of(run / CONFIG if run else None),
        "checkpoint": checkpoint_hash(path),
        "commit of the code": stated(record.get("commit")),
        "command": stated(record.get("command")),
    }
    metrics, at = last_validation(run, step)
    return TrainingFacts(sources, rows, metrics, at, run / CONFIG if config and run else None)


def run_folder(path: Path | None) -> Path | None:
    """The folder of the run that wrote a checkpoint; None where it lies elsewhere."""
    if path is None:
        return None
    folder = path.resolve().parent
    is_run = folder.name == "checkpoints" and (folder.parent / CONFIG).is_file()
    return folder.parent if is_run else None


def read_yaml(path: Path) -> dict[str, Any]:
    """A config; nothing where it cannot be read."""
    with suppress(OSError, ValueError, yaml.YAMLError):
        held = yaml.safe_load(path.read_text())
        return held if isinstance(held, dict) else {}
    return {}


def read_json(path: Path) -> dict[str, Any]:
    """A record; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        held = json.loads(path.read_text())
        return held if isinstance(held, dict) else {}
    return {}


def of(config: Any, *keys: str) -> Any:
    """A value deep in a config; None where it is not there."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return config


def stated(value: Any) -> str:
    """A value in words."""
    return NOT_STATED if value is None or value == "" else str(value)


# The facts one by one


def base_licence(sources: list[str], licences: Licences) -> str:
    """Licence of the base: what the user says, or else its own card."""
    if licences.base:
        return licences.base
    if not sources:
        return "no base model"
    found = [licence_of_card(Path(source)) for source in sources]
    return ", ".join(one for one in found if one) or NOT_STATED


def licence_of_card(folder: Path) -> str | None:
    """What the head of a folder's model card says; None where it says nothing."""
    with suppress(OSError, ValueError):
        text = (folder / "README.md").read_text()
        head = text.split("---", 2)[1] if text.startswith("---") else ""
        said = LICENCE.search(head)
        return said[1].strip("'\"") if said and said[1] != "unknown" else None
    return None


def data_of(config: Any) -> str:
    """The class of the data and the sources of its training part, as the config has them."""
    data = of(config, "data")
    if not isinstance(data, dict):
        return NOT_STATED
    given = [of(data, "init_args", name) for name in SOURCES]
    sources = next((one for one in given if isinstance(one, list)), [])
    named = "; ".join(compact(one) for one in sources)
    return f"{data.get('class_path')}{': ' if named else ''}{named}"


def compact(one: Any) -> str:
    """A class of a config and its options in a line."""
    if not isinstance(one, dict) or "class_path" not in one:
        return json.dumps(one, default=str)
    options = {k: v for k, v in (one.get("init_args") or {}).items() if v is not None}
    said = ", ".join(f"{name}={json.dumps(value, default=str)}" for name, value in options.items())
    return f"{str(one['class_path']).rpartition('.')[2]}({said})"


def targets_of(checkpoint: Mapping[str, Any]) -> str:
    """How many targets were read in all."""
    held = checkpoint.get("num_targets")
    if not isinstance(held, Mapping):
        return NOT_STATED if checkpoint else "0"
    return f"{int(held['number']):,} {held['unit']}"


def optimizer_of(config: Any) -> str:
    """Class and options of the optimizer."""
    held = of(config, "model", "init_args", "optimizer")
    return compact(held) if held else NOT_STATED


def hash_of(path: Path | None) -> str:
    """SHA-256 of the run's config."""
    if path is None or not path.is_file():
        return NOT_STATED
    return f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def checkpoint_hash(path: Path | None) -> str:
    """Name of a checkpoint, and the hash that was written with it."""
    if path is None:
        return "none"
    real = path.resolve()
    with suppress(OSError, ValueError):
        return f"{real.name}, SHA-256 {entries(real)[0]['sha256']}"
    return real.name


def last_validation(run: Path | None, step: Any) -> tuple[dict[str, float], int | None]:
    """What the last validation up to a step measured, and its step."""
    found: dict[str, float] = {}
    at: int | None = None
    if run is None or not isinstance(step, int):
        return found, at
    with suppress(OSError, ValueError), (run / METRICS).open() as file:
        for row in csv.DictReader(file):
            measured = {n: float(v) for n, v in row.items() if n.startswith("validate/") and v}
            if measured and int(row["step"]) <= step:
                found, at = measured, int(row["step"])
    return found, at
