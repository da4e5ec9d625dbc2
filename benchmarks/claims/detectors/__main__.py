"""Which detectors of machine-written text transfer to other generators, at laptop scale.

`python -m benchmarks.claims.detectors` runs `configs/detector/matrix.yaml` in a folder of the
commit: a run that was killed resumes where it stopped, and another commit starts anew. A detector
is an encoder from scratch or TF-IDF with logistic regression; all have one budget.

1. Pooled training costs little against each generator's own detector (2310.05165, abstract).
2. On a generator that was left out, pooled training is better than training on any other one.
3. Detectors of smaller generators transfer to larger ones rather than the reverse (fig. 1).
4. Training is needed: zero-shot scores of a small language model are the comparison.
"""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from benchmarks.bench.conditions import commit
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import MedianInterval
from cli import main as entry_point
from engine.study.grid import Grid, read_grid
from modules.metrics.bootstrap import Quantity, interval
from modules.transfer.findings import Findings
from modules.transfer.matrix import Matrix, arrows
from modules.transfer.report import MatrixReport, matrices, together, write_matrices
from modules.transfer.summary import POOLED, own
from modules.transfer.tables import write_heat_map

ROOT = Path(__file__).parents[3]
MATRIX = ROOT / "configs" / "detector" / "matrix.yaml"
DOCS = ROOT / "docs"
TRAINED = ("encoder", "tfidf")
AIM = -4.0
"""Points that pooled training may cost, at the lower end."""
LIMIT = 45.0
"""Minutes of everything."""
POINTS = 100
FEW = ("gpt2-xl", "opt-2.7b", POOLED, "pooled_without_opt-2.7b")
QUICK = {
    "data.init_args.train.budget": 64,
    "data.init_args.validate.domains": ["squad"],
    "data.init_args.test.domains": ["squad"],
    "trainer.max_steps": 2,
    "trainer.val_check_interval": 2,
}


def planned(quick: bool) -> Grid:
    """The grid of the config; of a quick run a corner of it."""
    what = "quick" if quick else commit().rstrip("+")
    grid, _ = read_grid([f"--config={MATRIX}", f"--folder=runs/claims.detectors/{what}"])
    if quick:
        rmtree(grid.folder, ignore_errors=True)
        few = {"kind": ("encoder",), "trained_on": FEW, "seed": ("seed1",)}
        for axis, names in few.items():
            grid.axes[axis] = {name: grid.axes[axis][name] for name in names}
        grid.options.update(QUICK)
        del grid.commands["attacked"]
    return grid


class Claims:
    """The four claims.

    Args:
        bench: Receives the rows.
        found: Findings of each kind of detector.
        sizes: Parameters of each generator.
    """

    def __init__(self, bench: Bench, found: dict[str, Findings], sizes: dict[str, float]):
        self.bench = bench
        self.found = found
        self.numbers = {kind: one.quantities(sizes) for kind, one in found.items()}
        for kind, one in found.items():
            bench.details[kind] = dict(self.details(one, self.numbers[kind]))

    def details(self, found: Findings, numbers: dict[str, Quantity]) -> Iterator[tuple[str, Any]]:
        """The data of the rows."""
        yield "human texts of each generator's test", found.num_human
        yield "seeds", found.num_seeds
        yield "points", {what: interval(one).points() for what, one in numbers.items()}
        for name, matrix in matrices(found).items():
            yield name, table(matrix)
        if found.gap is not None:
            yield "arrows", list(map(str, arrows(found.gap)))

    def tfidf(self, what: str) -> MedianInterval | None:
        """The same quantity of TF-IDF, if it was run."""
        numbers = self.numbers.get("tfidf", {})
        return points(numbers[what]) if what in numbers else None

    def pooling(self) -> None:
        """Claim 1."""
        for name in ("pooled minus own", "average minus own"):
            if name not in self.numbers["encoder"]:
                continue
            ours, theirs = points(self.numbers["encoder"][name]), self.tfidf(name)
            low = None if theirs is None else theirs.low
            what = f"accuracy, {name}, points ({ours}): lower end"
            paper = "pooled data make the robust detector"
            self.bench.row(1, what, ours.low, AIM, peer=low, at_least=True, paper=paper)

    def left_out(self) -> None:
        """Claim 2: against every row that was not trained on the generator either."""
        for what, lead in self.numbers["encoder"].items():
            if not what.startswith("pooled minus") or "left out" not in what:
                continue
            ours, name = points(lead), f"accuracy, {what}, points"
            paper = "medium-size models pooled are robust"
            peer = self.tfidf(what)
            self.bench.row(2, f"{name} ({ours})", ours, 0, peer=peer, at_least=True, paper=paper)

    def transfer(self) -> None:
        """Claim 3."""
        ways = [f"gap from {way}" for way in ("smaller to larger", "larger to smaller")]
        numbers = self.numbers["encoder"]
        if ways[0] not in numbers:
            return
        ours = points(numbers[ways[0]] - numbers[ways[1]])
        what = f"Acc-Gap from smaller to larger less the reverse, points ({ours})"
        paper = "medium generalises to larger; no arrow enters GPT-3 or GPT-4 from others"
        self.bench.row(3, what, ours, 0, paper=paper)

    def baselines(self) -> None:
        """Claim 4: AUROC on each generator, the mean; of what is trained, the generator's own."""
        for kind, one in self.found.items():
            rate = one.auroc
            names = own(rate) if kind in TRAINED else rate.tested_on
            rows = [rate.at(g if kind in TRAINED else POOLED, g) for g in names]
            mean = estimate(sum(rows[1:], rows[0]) / len(rows))
            what = f"AUROC, {kind}, mean over generators ({mean}): lower end"
            self.bench.row(4, what, mean.low, 0.5, at_least=True, paper="not compared")


def table(matrix: Matrix) -> dict[str, dict[str, str]]:
    """A matrix by training set and generator."""
    return {d: {g: str(matrix.interval(d, g)) for g in matrix.tested_on} for d in matrix.trained_on}


def estimate(quantity: Quantity) -> MedianInterval:
    """A quantity as an estimate of the harness."""
    found = interval(quantity)
    return MedianInterval(found.value, found.low, found.high)


def points(quantity: Quantity) -> MedianInterval:
    """The same in percentage points."""
    return estimate(np.round(POINTS * quantity, 6))


def measure(bench: Bench) -> None:
    """Generator x generator matrices of detectors; at most 45 minutes on two cores."""
    grid = planned(bench.quick)
    report = grid.report
    assert isinstance(report, MatrixReport)
    grid.report = None
    failures = grid.run(entry_point, bench.say)
    if failures:
        raise SystemExit(str(failures[0]))
    found = report.findings(grid.finished())
    for kind, one in found.items():
        write_matrices(grid.folder / "matrix" / kind, matrices(one))
    if len(found) > 1:
        write_matrices(grid.folder / "matrix" / "all", together(found)[0])
    claims = Claims(bench, found, report.sizes)
    claims.pooling()
    claims.left_out()
    claims.transfer()
    claims.baselines()
    seconds = [one["seconds"] for cell in grid.cells() for one in cell.receipts]
    bench.row(5, "minutes of all training and tests", sum(seconds) / 60, LIMIT)
    if not bench.quick:
        keep_heat_maps(found["encoder"])


def keep_heat_maps(found: Findings) -> None:
    """Heat maps for the documents."""
    write_heat_map(found.accuracy, DOCS / "detector_accuracy.png", "Accuracy", 0.6, 0.8)
    if found.gap is not None:
        write_heat_map(found.gap, DOCS / "detector_gap.png", "Acc-Gap", 0.0, 0.08)


if __name__ == "__main__":
    run("claims.detectors", measure)
