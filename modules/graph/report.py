"""From the runs of a grid to transfer: matrices, pairs, counts, heat maps."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.disk.whole import whole
from modules.graph.transfer import (
    UNTUNED,
    Answers,
    TransferPair,
    accuracies,
    counts,
    pairs,
    words,
)
from modules.metrics.bootstrap import NUM_RESAMPLES
from modules.transfer.heat_map import heat_map
from modules.transfer.tables import markdown, write_csv, write_heat_map

FILE = "answers.jsonl"
"""What a test of a `GraphLM` writes."""
Cells = list[tuple[dict[str, str], dict[str, Path]]]
Tested = dict[str, dict[str, list[dict[str, Any]]]]
"""Answers by seed and test set."""


class TransferReport:
    """Writes what the runs of a grid amount to, below `<folder>/transfer/`.

    One axis names what was trained on, `untuned` among it; another holds the seeds. Each
    combination of further axes gets a folder of its own. A test set is named after the row that
    was trained on its distribution.

    Args:
        trained_on: The axis of what was trained on.
        seed: The axis of the seeds.
        command: The command that asked.
        num_resamples: Of the bootstrap over questions.
    """

    def __init__(
        self,
        trained_on: str = "trained_on",
        seed: str = "seed",
        command: str = "test",
        num_resamples: int = NUM_RESAMPLES,
    ):
        self.trained_on = trained_on
        self.seed = seed
        self.command = command
        self.num_resamples = num_resamples

    def write(self, folder: Path, cells: Cells) -> Iterator[str]:
        """Write the tables of every group of cells.

        Args:
            folder: Of the grid.
            cells: Choices of each finished cell, and the run folder of each of its commands.

        Yields:
            Lines of the summary, and where the tables are.

        Raises:
            ValueError: Two cells were asked different questions under one name.
        """
        for name, rows in self.groups(cells).items():
            where = folder / "transfer" / name
            where.mkdir(parents=True, exist_ok=True)
            yield from (f"{name}: {line}" if name else line for line in self.group(rows, where))
            yield f"transfer     {where}"

    def groups(self, cells: Cells) -> dict[str, dict[str, Tested]]:
        """Answers by the choices of further axes, by row, seed and test set."""
        found: dict[str, dict[str, Tested]] = {}
        for choices, runs in cells:
            rest = dict(choices)
            row, seed = rest.pop(self.trained_on), rest.pop(self.seed, "")
            group = found.setdefault("/".join(rest.values()), {}).setdefault(row, {})
            if self.command in runs:
                group[seed] = read(runs[self.command] / FILE)
        return found

    def group(self, rows: Mapping[str, Tested], where: Path) -> Iterator[str]:
        """Write one group's tables; yields its summary."""
        answers = aligned(rows)
        yield from missing(rows, answers)
        accuracy = accuracies(answers, self.num_resamples)
        write_csv(accuracy, where / "accuracy.csv")
        (where / "accuracy.md").write_text(markdown(accuracy) + "\n")
        title = "Right answers: trained on (rows), tested on (columns)"
        write_heat_map(accuracy, where / "accuracy.png", title, 0.0, 1.0)
        write_table(effort_rows(rows), where / "effort.csv")
        write_table(verdict_rows(rows), where / "verdicts.csv")
        if UNTUNED not in answers.right:
            yield f"no finished row {UNTUNED}: transfer is measured against it"
            return
        found = pairs(answers, accuracy)
        write_table([one.row() for one in found], where / "pairs.csv")
        with whole(where / "counts.json") as draft:
            draft.write_text(json.dumps(counts(found), indent=1) + "\n")
        recovery_map(found).save(where / "recovered.png")
        yield from words(found)


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The answers of a run, by test set."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in file.read_text().splitlines():
        one = json.loads(line)
        found[one["task"]].append(one)
    return dict(found)


def aligned(rows: Mapping[str, Tested]) -> Answers:
    """All answers as arrays, after a check that one name means one set of questions.

    Raises:
        ValueError: It does not; names both sets.
    """
    asked: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    right: dict[str, dict[str, list[list[bool]]]] = {}
    for row, seeds in rows.items():
        for seed, tested in seeds.items():
            for name, answers in tested.items():
                keys = [(str(one["id"]), str(one["set"])) for one in answers]
                first = asked.setdefault(name, (f"{row} {seed}", keys))
                if first[1] != keys:
                    raise ValueError(
                        f"test set {name}: {row} {seed} was asked other questions than {first[0]}, "
                        f"such as {difference(keys, first[1])}: test both again"
                    )
                held = right.setdefault(row, {}).setdefault(name, [])
                held.append([one["verdict"] == "right" for one in answers])
    return Answers({r: {n: np.array(s) for n, s in one.items()} for r, one in right.items()})


def difference(first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]]) -> str:
    """Two questions that should be the same."""
    for one, other in zip(first, second, strict=False):
        if one != other:
            return f"{one[1]} and {other[1]}"
    return f"{len(first)} and {len(second)} questions"


def missing(rows: Mapping[str, Tested], answers: Answers) -> Iterator[str]:
    """Lines about cells that have not been run, or failed."""
    seeds = sorted({seed for tested in rows.values() for seed in tested})
    for row, tested in rows.items():
        for seed in seeds:
            if seed not in tested:
                yield f"MISSING: {row} {seed} has no answers: it failed, or was not run"
    for column in answers.columns:
        if column not in answers.rows:
            yield f"MISSING: no row was trained on {column}: its gap is undefined"


def effort_rows(rows: Mapping[str, Tested]) -> list[dict[str, object]]:
    """Accuracy by what a solution takes, of each row and test set."""
    found: dict[tuple[str, str, int], list[bool]] = defaultdict(list)
    for row, name, one in each(rows):
        if one.get("effort") is not None:  # of problems alone, not of real questions
            found[row, name, one["effort"]].append(one["verdict"] == "right")
    heads = ("trained_on", "tested_on", "effort")
    return [
        dict(zip(heads, key, strict=True)) | {"accuracy": sum(held) / len(held), "num": len(held)}
        for key, held in sorted(found.items())
    ]


def verdict_rows(rows: Mapping[str, Tested]) -> list[dict[str, object]]:
    """Shares of verdicts, and right answers with steps that do not prove them."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row, name, one in each(rows):
        found[row, name].append(one)
    verdicts = sorted({one["verdict"] for held in found.values() for one in held})
    return [
        {"trained_on": row, "tested_on": name}
        | {v: sum(one["verdict"] == v for one in held) / len(held) for v in verdicts}
        | {"unproved": mean([one["unproved"] for one in held if one.get("unproved") is not None])}
        | {"characters": mean([len(one["text"]) for one in held])}
        for (row, name), held in found.items()
    ]


def each(rows: Mapping[str, Tested]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every answer with its row and test set."""
    for row, seeds in rows.items():
        for tested in seeds.values():
            for name, answers in tested.items():
                for one in answers:
                    yield row, name, one


def mean(values: Sequence[float]) -> float | str:
    """The mean; empty without values."""
    return sum(values) / len(values) if values else ""


def write_table(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write rows as CSV, under the keys of the first."""
    with whole(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def recovery_map(found: Sequence[TransferPair]) -> Any:
    """Performance gaps recovered as a heat map; undefined ones stay grey."""
    rows = list(dict.fromkeys(one.trained_on for one in found))
    columns = list(dict.fromkeys(one.tested_on for one in found))
    value_DG = np.full((len(rows), len(columns)), np.nan)
    for one in found:
        if one.recovered is not None:
            value_DG[rows.index(one.trained_on), columns.index(one.tested_on)] = one.recovered.value
    title = "Share of the performance gap recovered: trained on (rows), tested on (columns)"
    return heat_map(value_DG, rows, columns, title, 0.0, 1.0, digits=2)
