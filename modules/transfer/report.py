"""From the runs of a grid to matrices: CSV, heat maps, arrows and a summary in words."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from modules.metrics.bootstrap import NUM_RESAMPLES
from modules.transfer.findings import Findings, findings
from modules.transfer.matrix import THRESHOLDS, Matrix, arrows
from modules.transfer.scores import read
from modules.transfer.tables import markdown, write_csv, write_heat_map
from modules.transfer.under_attack import Attacked

Cells = list[tuple[dict[str, str], dict[str, Path]]]
Group = dict[str, dict[str, Attacked]]
"""Scores by row name, seed and attack."""
ENDS = {
    "accuracy": (0.5, 1.0),
    "auroc": (0.5, 1.0),
    "tpr_at_1_fpr": (0.0, 1.0),
    "acc_gap": (0.0, 0.25),
    "attacks": (0.0, 0.25),
}
"""Values of the lightest and the darkest colour."""
TITLES = {
    "accuracy": "Accuracy: trained on (rows), tested on (columns)",
    "auroc": "AUROC: trained on (rows), tested on (columns)",
    "tpr_at_1_fpr": "Found at 1 % false alarms: trained on (rows), tested on (columns)",
    "acc_gap": "Acc-Gap: accuracy lost against the generator's own detector",
    "attacks": "Accuracy lost under attacks, over all generators",
}


class MatrixReport:
    """Writes the matrices of a grid, training sets x test sets, below `<folder>/matrix/`.

    One axis names the training set: a generator, `pooled`, or `pooled_without_<generator>`. Another
    axis holds the seeds, which are averaged. Each combination of further axes (domains, kinds of
    classifier) gets a folder of its own.

    Args:
        trained_on: The axis of what classifiers were trained on.
        seed: The axis of the seeds.
        command: The command that wrote the scores.
        attacked: The command that wrote scores of attacked texts, in those cells that have it.
        file: Name of the score file in the run folder.
        sizes: Parameters of generators, to compare transfer up with transfer down.
        thresholds: Gaps below which an arrow is drawn.
        num_resamples: Of the bootstrap.
    """

    def __init__(
        self,
        trained_on: str = "trained_on",
        seed: str = "seed",
        command: str = "test",
        attacked: str = "attacked",
        file: str = "scores.parquet",
        sizes: dict[str, float] | None = None,
        thresholds: list[float] | None = None,
        num_resamples: int = NUM_RESAMPLES,
    ):
        self.trained_on = trained_on
        self.seed = seed
        self.command = command
        self.attacked = attacked
        self.file = file
        self.sizes = sizes or {}
        self.thresholds = thresholds or list(THRESHOLDS)
        self.num_resamples = num_resamples

    def write(
        self, folder: Path, cells: list[tuple[dict[str, str], dict[str, Path]]]
    ) -> Iterator[str]:
        """Write the matrices of every group of cells, and those of all groups together.

        Args:
            folder: Of the grid.
            cells: Choices of each finished cell, and the run folder of each of its commands.

        Yields:
            Lines of the summary, and where the matrices are.
        """
        target, held = folder / "matrix", self.findings(cells)
        for name, found in held.items():
            where = target / name
            write_matrices(where, matrices(found))
            words = [*found.words(self.sizes), *self.arrows(found)]
            (where / "words.txt").write_text("\n".join(words) + "\n")
            yield from (f"{name}: {line}" if name else line for line in words)
            yield f"matrices: {where}"
        if len(held) > 1:
            every, others = together(held)
            write_matrices(target / "all", every)
            yield f"matrices: {target / 'all'}"
            yield from (f"not among them, other generators: {name}" for name in others)

    def findings(self, cells: Cells) -> dict[str, Findings]:
        """Findings from the scores of cells, by the choices of further axes."""
        groups: dict[str, Group] = {}
        for choices, runs in cells:
            rest = dict(choices)
            trained_on, seed = rest.pop(self.trained_on), rest.pop(self.seed, "")
            if self.command in runs:
                seeds = groups.setdefault("/".join(rest.values()), {}).setdefault(trained_on, {})
                seeds[seed] = self.scores(runs)
        return {name: findings(group, self.num_resamples) for name, group in groups.items()}

    def scores(self, runs: Mapping[str, Path]) -> Attacked:
        """The scores that a cell wrote."""
        attacked = runs.get(self.attacked)
        others = {} if attacked is None else read(attacked / self.file)
        return others | read(runs[self.command] / self.file)

    def arrows(self, found: Findings) -> list[str]:
        """The paper's arrows, one per line."""
        return [] if found.gap is None else list(map(str, arrows(found.gap, self.thresholds)))


def matrices(found: Findings) -> dict[str, Matrix]:
    """The matrices that are there, by name."""
    every = {
        "accuracy": found.accuracy,
        "auroc": found.auroc,
        "tpr_at_1_fpr": found.caught,
        "acc_gap": found.gap,
        "attacks": found.lost,
    }
    return {name: matrix for name, matrix in every.items() if matrix is not None}


def together(held: Mapping[str, Findings]) -> tuple[dict[str, Matrix], list[str]]:
    """Rates of all groups that were tested on the same generators as the first, as one matrix.

    Returns:
        The matrices, and the names of the groups that have other generators.
    """
    columns = next(iter(held.values())).accuracy.tested_on
    same = {n: one for n, one in held.items() if set(one.accuracy.tested_on) == set(columns)}
    stacked = {}
    for what in ("accuracy", "auroc", "tpr_at_1_fpr"):
        parts = {name: matrices(found)[what] for name, found in same.items()}
        rows = [f"{name} {row}" for name, part in parts.items() for row in part.trained_on]
        ordered = [
            part.quantity_DGR[:, [part.tested_on.index(g) for g in columns]]
            for part in parts.values()
        ]
        stacked[what] = Matrix(rows, columns, np.concatenate(ordered))
    return stacked, [name for name in held if name not in same]


def write_matrices(where: Path, every: Mapping[str, Matrix]) -> None:
    """Write each matrix as CSV, Markdown and heat map."""
    for what, matrix in every.items():
        write_csv(matrix, where / f"{what}.csv")
        is_loss = what in ("acc_gap", "attacks")
        (where / f"{what}.md").write_text(markdown(matrix, points=is_loss) + "\n")
        write_heat_map(matrix, where / f"{what}.png", TITLES[what], *ENDS[what])
