import csv

import numpy as np
import pytest
from PIL import Image

from modules.transfer.heat_map import LADDER, colour, heat_map
from modules.transfer.report import MatrixReport
from tests.fixtures.simulated_scores import GENERATORS, detector, texts, write

TEXTS = texts(40)


def cells(folder, kinds=("encoder",)):
    """The runs of a grid: kinds x detectors x seeds."""
    names = [*GENERATORS, "pooled", *(f"pooled_without_{g}" for g in GENERATORS)]
    made = []
    for kind in kinds:
        for name in names:
            for seed in ("seed1", "seed2"):
                run = folder / kind / name / seed / "0"
                scores = detector(TEXTS, 0.7, len(made), name)
                write(scores, run / "scores.parquet", case=detector(TEXTS, 0.2, len(made)))
                made.append(({"kind": kind, "trained_on": name, "seed": seed}, {"test": run}))
    return made


def rows(path):
    with path.open() as file:
        return list(csv.reader(file))


def test_a_report_writes_matrices_images_arrows_and_words(tmp_path):
    report = MatrixReport(num_resamples=100, sizes={"small": 1, "large": 3})
    lines = list(report.write(tmp_path, cells(tmp_path)))
    where = tmp_path / "matrix" / "encoder"
    table = rows(where / "accuracy.csv")
    assert table[0] == ["trained_on", *GENERATORS]
    assert [row[0] for row in table[1:]][:4] == [*GENERATORS, "pooled"]
    assert {len(row) for row in rows(where / "acc_gap_intervals.csv")} == {5}
    assert rows(where / "attacks.csv")[0] == ["trained_on", "case"]
    caught = np.array([row[1:] for row in rows(where / "tpr_at_1_fpr.csv")[1:]], float)
    right = np.array([row[1:] for row in table[1:]], float)
    assert caught.shape == right.shape
    assert (0 < caught).all()
    assert (caught < right).all()  # few are found where no human text of 40 may pass
    with Image.open(where / "auroc.png") as image:
        assert image.width > 300
    words = (where / "words.txt").read_text()
    assert "human texts of a generator's test: 40" in words
    assert "pooled minus own: " in words
    assert "gap from smaller to larger" in words
    assert lines[-1] == f"matrices: {where}"


def test_groups_of_cells_get_a_folder_each_and_one_together(tmp_path):
    report = MatrixReport(num_resamples=50)
    list(report.write(tmp_path, cells(tmp_path, ("encoder", "tfidf"))))
    every = rows(tmp_path / "matrix" / "all" / "accuracy.csv")
    apart = [rows(tmp_path / "matrix" / kind / "accuracy.csv")[1:] for kind in ("encoder", "tfidf")]
    assert len(every) == 1 + sum(map(len, apart))
    assert every[1] == [f"encoder {apart[0][0][0]}", *apart[0][0][1:]]


def test_detectors_whose_columns_stand_in_another_order_are_among_all(tmp_path):
    all_cells = cells(tmp_path, ("encoder", "score"))
    few = [
        cell
        for cell in all_cells
        if cell[0]["kind"] == "encoder" or cell[0]["trained_on"] == "pooled"
    ]
    report = MatrixReport(num_resamples=50)
    list(report.write(tmp_path, few))
    own = rows(tmp_path / "matrix" / "score" / "accuracy.csv")
    every = rows(tmp_path / "matrix" / "all" / "accuracy.csv")
    assert every[0] != own[0]
    shown = dict(zip(every[0][1:], every[-1][1:], strict=True))
    assert every[-1][0] == "score pooled"
    assert shown == dict(zip(own[0][1:], own[1][1:], strict=True))


def test_seeds_that_not_every_detector_has_are_left_out_and_told(tmp_path):
    all_cells = cells(tmp_path)
    lines = list(MatrixReport(num_resamples=50).write(tmp_path, all_cells[:-1]))
    assert "encoder: seeds left out, as not every row has them: seed2" in lines
    first = [cell for cell in all_cells if cell[0]["seed"] == "seed1"]
    wanted = MatrixReport(num_resamples=50).findings(first)["encoder"].accuracy
    had = MatrixReport(num_resamples=50).findings(all_cells[:-1])["encoder"].accuracy
    np.testing.assert_array_equal(had.quantity_DGR, wanted.quantity_DGR)


def test_a_part_of_the_detectors_is_told_as_far_as_it_goes(tmp_path):
    some = {"small", "pooled_without_small"}
    few = [cell for cell in cells(tmp_path) if cell[0]["trained_on"] in some]
    lines = list(MatrixReport(num_resamples=50).write(tmp_path, few))
    assert any("pooled, on a generator left out" in line for line in lines)
    assert not any("minus" in line for line in lines)


def test_a_report_of_a_cell_without_its_file_names_the_file(tmp_path):
    all_cells = cells(tmp_path)
    (all_cells[0][1]["test"] / "scores.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"no scores .*small/seed1/0/scores\.parquet"):
        list(MatrixReport().write(tmp_path, all_cells))


def test_cells_without_the_command_are_passed_over(tmp_path):
    all_cells = cells(tmp_path)
    lacking = [(choices, runs if choices["seed"] == "seed1" else {}) for choices, runs in all_cells]
    held = MatrixReport(num_resamples=50).findings(lacking)["encoder"]
    assert set(held.num_seeds.values()) == {1}


def test_a_heat_map_shows_high_values_dark_and_missing_ones_grey():
    image = heat_map(np.array([[0.5, 1.0, np.nan]]), ["d"], ["a", "b", "c"], "t", 0.5, 1.0)
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert {tuple(map(int, LADDER[0])), tuple(map(int, LADDER[-1])), (225, 225, 225)} <= colours
    assert colour(-1) == colour(0)
    assert colour(2) == colour(1)


def test_a_heat_map_refuses_names_that_do_not_fit_and_an_empty_range():
    with pytest.raises(ValueError, match="1 x 2 names for numbers"):
        heat_map(np.zeros((2, 2)), ["d"], ["a", "b"], "t", 0, 1)
    with pytest.raises(ValueError, match="low must be below high, got 1 and 1"):
        heat_map(np.zeros((1, 1)), ["d"], ["a"], "t", 1, 1)


def test_attacks_may_be_met_by_some_cells_only_and_in_a_command_of_their_own(tmp_path):
    all_cells = cells(tmp_path)
    for choices, runs in all_cells:
        scores = detector(TEXTS, 0.7, 3)
        write(scores, runs["test"] / "scores.parquet")
        if choices["trained_on"] == "pooled" and choices["seed"] == "seed1":
            runs["attacked"] = runs["test"].parent / "1"
            write(scores, runs["attacked"] / "scores.parquet", cut=detector(TEXTS, 0.1, 4))
    lost = MatrixReport(num_resamples=50).findings(all_cells)["encoder"].lost
    assert lost.trained_on == ["pooled"]
    assert lost.tested_on == ["cut"]
    assert lost.at("pooled", "cut")[0] > 0
