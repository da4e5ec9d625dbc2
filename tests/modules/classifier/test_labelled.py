import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modules.classifier.labelled import read_labelled

STANCES = ["left", "center", "right"]
ROWS = {
    "id": [0, 1, 2, 3, 4, 2],
    "pair_id": ["a", "a", "b", "b", "", "b"],
    "domain": ["articles", "summaries", "summaries", "summaries", "summaries", "summaries"],
    "attack": ["none"] * 5 + ["typos"],
    "label": [0, 0, 1, 2, 2, 1],
    "p_left": [0.2, 0.8, 0.1, 0.5, 0.1, 1.0],
    "p_center": [0.5, 0.1, 0.8, 0.2, 0.1, 0.0],
    "p_right": [0.3, 0.1, 0.1, 0.3, 0.8, 0.0],
}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table(ROWS), path)
    return path


def test_what_is_read_is_the_likeliest_class_of_unattacked_texts(table):
    found = read_labelled(table, STANCES)
    assert found.label_N.tolist() == [0, 0, 1, 2, 2]
    assert found.read_N.tolist() == [1, 0, 1, 0, 2]


def test_texts_of_a_pair_are_one_group_and_one_without_is_its_own(table):
    groups = read_labelled(table, STANCES).group_N.tolist()
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len({*groups}) == 3


def test_a_domain_leaves_out_the_texts_of_others(table):
    found = read_labelled(table, STANCES, "summaries")
    assert found.read_N.tolist() == [0, 1, 0, 2]
    with pytest.raises(ValueError, match=r"no text of domain 'articles' of class center, right"):
        read_labelled(table, STANCES, "articles")


def test_of_two_classes_the_log_odds_before_calibration_decide(tmp_path):
    path = tmp_path / "scores.parquet"
    two = {name: ROWS[name][:2] for name in ("id", "pair_id", "domain", "attack")}
    pq.write_table(
        pa.table({**two, "label": [0, 1], "score": [-0.1, 0.1], "p_b": [0.6, 0.4]}), path
    )
    found = read_labelled(path, ["a", "b"])
    np.testing.assert_array_equal(found.read_N, [0, 1])


def test_other_classes_and_a_missing_table_are_refused(table, tmp_path):
    with pytest.raises(
        ValueError, match="probabilities of left, center, right, not of right, left"
    ):
        read_labelled(table, ["right", "left", "center"])
    with pytest.raises(FileNotFoundError, match="run `test` of the classifier first"):
        read_labelled(tmp_path / "none.parquet", STANCES)
