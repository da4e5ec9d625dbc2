import os
from pathlib import Path

import pytest
import torch

from benchmarks import detector_matrix
from benchmarks.bench.harness import Bench
from benchmarks.claims.detectors import __main__ as detectors
from benchmarks.claims.detectors.__main__ import Claims, planned
from benchmarks.detector_matrix import padding, the_cell
from modules.metrics.bootstrap import interval
from modules.transfer.report import MatrixReport
from modules.transfer.summary import left_out_minus, minus_own
from tests.fixtures.simulated_scores import GENERATORS, detector, texts, write

DATA = Path(os.environ.get("TRAINER_DATA", "data")) / "machine_text" / "machine_text.parquet"
SIZES = {"small": 1.0, "middle": 2.0, "large": 3.0}


@pytest.fixture
def by_kind(tmp_path):
    """Findings for detectors of three generators and pooled ones, by kind of detector."""
    on, cells = texts(40), []
    names = [*GENERATORS, "pooled", *(f"pooled_without_{g}" for g in GENERATORS)]
    for kind in ("encoder", "tfidf"):
        for seed, name in enumerate(names):
            run = tmp_path / kind / name / "0"
            write(detector(on, 0.7, seed, name), run / "scores.parquet")
            choices = {"seed": "seed1", "kind": kind, "trained_on": name}
            cells.append((choices, {"test": run}))
    return MatrixReport(num_resamples=100).findings(cells)


def test_rows_are_what_the_matrix_says(by_kind):
    bench = Bench("claims.detectors")
    claims = Claims(bench, by_kind, SIZES)
    claims.pooling()
    claims.left_out()
    claims.transfer()
    claims.baselines()
    accuracy = by_kind["encoder"].accuracy
    low = interval(100 * minus_own(accuracy)).low
    first = bench.rows[0]
    assert first.value == pytest.approx(low)
    assert first.met is (low >= -4)
    rivals = left_out_minus(accuracy)
    assert len([row for row in bench.rows if row.row == 2]) == len(rivals) == 6
    assert {row.row for row in bench.rows} == {1, 2, 3, 4}
    held = bench.details["encoder"]
    assert held["human texts of each generator's test"] == dict.fromkeys(sorted(GENERATORS), 40)
    assert held["accuracy"]["pooled"]["small"] == str(accuracy.interval("pooled", "small"))


def test_the_full_grid_has_every_detector_at_three_seeds_and_each_untrained_score_once():
    cells = [cell.choices for cell in planned(quick=False).cells()]
    count = {kind: sum(c["kind"] == kind for c in cells) for kind in ("encoder", "tfidf")}
    assert count == {"encoder": 27, "tfidf": 27}
    assert len(cells) == 54 + 5


def test_single_pooled_and_leave_one_out_detectors_have_one_budget():
    grid = planned(quick=False)
    names = [g for g in grid.axes["trained_on"] if "pooled" not in g]
    for name, options in grid.axes["trained_on"].items():
        left = name.removeprefix("pooled_without_")
        wanted = [name] if name in names else [g for g in names if g != left]
        assert options["data.init_args.train.generators"] == wanted
        assert set(options) == {"data.init_args.train.generators"}
    assert grid.options["data.init_args.train.budget"] == 1850


def test_a_quick_run_is_a_corner_of_the_grid():
    assert len(planned(quick=True).cells()) == len(detectors.FEW)


def test_the_cell_that_is_timed_is_one_of_the_grid(tmp_path):
    cell, num = the_cell(tmp_path, tmp_path, quick=False)
    assert num == 27
    assert list(cell.commands) == ["fit", "test"]
    assert cell.name == "seed1/encoder/pooled"


def test_padding_is_the_share_of_positions_that_hold_no_token():
    masks = [torch.tensor([[True, True], [True, False]]), torch.ones(2, 2, dtype=torch.bool)]
    assert padding([{"mask_WL": mask} for mask in masks]) == pytest.approx(1 / 8)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason=f"needs {DATA}")
@pytest.mark.parametrize("benchmark", [detectors, detector_matrix])
def test_a_quick_run_gives_rows_that_claim_nothing(benchmark, monkeypatch):
    bench = Bench(benchmark.__name__, quick=True)
    threads = torch.get_num_threads()
    benchmark.measure(bench)
    torch.set_num_threads(threads)
    assert bench.rows
    assert all(row.met is None for row in bench.rows)
