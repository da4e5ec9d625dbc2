"""The model card of an exported folder: what it is, how to open it, how it was trained."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from engine.export.facts import NOT_STATED, Licences, TrainingFacts
from engine.export.folder import FILE as SYSTEM

CARD = "README.md"
TRAINING = "training.yaml"
"""Copy of the run's config."""
LIBRARIES = ("torch", "lightning", "transformers", "peft", "safetensors")
"""Whose versions are noted."""
UNKNOWN = "unknown"
"""The hub's word for a licence that nobody has stated."""


def write_card(
    model: L.LightningModule,
    folder: Path,
    facts: TrainingFacts,
    licences: Licences,
    weights: str,
    only_trained: bool,
) -> None:
    """Write README.md with its head, and the run's config beside it.

    Args:
        model: The system; its `opens_with` says how others open the folder.
        folder: What was exported.
        facts: Of the training.
        licences: What the user says.
        weights: Which weights these are, in words.
        only_trained: Whether trained weights were written alone.
    """
    opens: dict[str, Any] = getattr(model, "opens_with", lambda only_trained: {})(only_trained)
    rows = {"system": type(model).__name__, "weights": weights} | facts.rows
    rows["libraries"] = ", ".join(f"{name} {of_library(name)}" for name in LIBRARIES)
    parts = [
        head(facts, licences, opens),
        f"# {type(model).__name__} at step {rows['optimizer steps'].partition(':')[0]}",
        *([opens["note"]] if opens.get("note") else []),
        "## How to open it",
        code(opens, folder),
        "## Training",
        table(("fact", "value"), rows),
        "## Last validation",
        measured(facts),
        "## Licence",
        table(
            ("of", "licence"),
            {
                "these weights": licences.model or NOT_STATED,
                "the base model": facts.rows["licence of the base model"],
                "the training data": facts.rows["licence of the data"],
            },
        ),
    ]
    (folder / CARD).write_text("\n\n".join(parts) + "\n")
    if facts.config is not None:
        (folder / TRAINING).write_bytes(facts.config.read_bytes())


def head(facts: TrainingFacts, licences: Licences, opens: dict[str, Any]) -> str:
    """The card's YAML head, as the hub reads it."""
    said: dict[str, Any] = {"license": licences.model or UNKNOWN}
    for key in ("library_name", "pipeline_tag"):
        if opens.get(key):
            said[key] = opens[key]
    on_hub = [source for source in facts.sources if not Path(source).exists()]
    if on_hub:
        said["base_model"] = on_hub
    return f"---\n{yaml.safe_dump(said, sort_keys=False)}---"


def code(opens: dict[str, Any], folder: Path) -> str:
    """Lines of Python that open the folder, which they call by its name."""
    given = str(opens.get("code", "")).strip().replace("this_folder", folder.name)
    blocks = [f"```python\n{given}\n```"] if given else []
    if (folder / SYSTEM).is_file() and "open_exported" not in given:
        blocks += [
            "In its own repository, as the system that it was trained as:",
            "```python\nfrom engine.export.folder import open_exported\n\n"
            f'model = open_exported("{folder.name}")\n```',
        ]
    return "\n\n".join(blocks) or "No other library opens it."


def table(names: tuple[str, str], rows: dict[str, str]) -> str:
    """A table of two columns."""
    lines = [f"| {cell(a)} | {cell(b)} |" for a, b in rows.items()]
    return "\n".join([f"| {names[0]} | {names[1]} |", "|---|---|", *lines])


def cell(text: str) -> str:
    """Text within a table."""
    return " ".join(str(text).replace("|", "\\|").split())


def measured(facts: TrainingFacts) -> str:
    """What the last validation found, or that nothing says so."""
    if not facts.metrics:
        return f"{NOT_STATED}: the run kept no validation up to this checkpoint."
    rows = {name.partition("/")[2]: f"{value:.6g}" for name, value in facts.metrics.items()}
    return f"At step {facts.metrics_step:,}.\n\n" + table(("measure", "value"), rows)


def of_library(name: str) -> str:
    """Version of a library that is installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
