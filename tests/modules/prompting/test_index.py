import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompting import index as index_file
from modules.prompting.index import PlainIndex, digest, faiss_index, plain_index
from modules.prompting.ranking import best


@pytest.fixture
def keys():
    """Keys with many equal products, and queries."""
    generator = np.random.default_rng(0)
    return [generator.integers(-2, 3, (n, 4)).astype(np.float32) for n in (50, 9)]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.data())
def test_the_best_are_those_of_a_sort_of_which_the_first_wins(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    index_K, score_K = best(np.array(scores, np.float64), k)
    expected = sorted(range(len(scores)), key=lambda number: (-scores[number], number))[:k]
    assert index_K.tolist() == expected
    assert score_K.tolist() == [scores[number] for number in expected]


def test_parts_of_the_keys_give_what_the_whole_gives(monkeypatch, keys):
    key_ND, query_QD = keys
    whole = PlainIndex(key_ND).search(query_QD, 12)
    for rows in (1, 7, 49, 50):
        monkeypatch.setattr(index_file, "ROWS", rows)
        parts = PlainIndex(key_ND).search(query_QD, 12)
        np.testing.assert_array_equal(parts.index_QK, whole.index_QK)
        np.testing.assert_array_equal(parts.score_QK, whole.score_QK)


def test_a_matrix_is_made_once_and_then_mapped_into_memory(tmp_path, keys):
    def never():
        raise AssertionError("made twice")

    made = plain_index(tmp_path / "new", "a", lambda: keys[0]).search(keys[1], 5)
    again = plain_index(tmp_path / "new", "a", never)
    assert isinstance(again.key_ND, np.memmap)
    np.testing.assert_array_equal(again.search(keys[1], 5).index_QK, made.index_QK)
    np.testing.assert_array_equal(made.index_QK, PlainIndex(keys[0]).search(keys[1], 5).index_QK)


def test_a_file_that_fails_half_way_leaves_nothing(tmp_path):
    def broken():
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        plain_index(tmp_path, "a", broken)
    assert not [*tmp_path.iterdir()]


def test_texts_that_are_split_otherwise_have_another_digest():
    assert digest(["ab", "c"]) != digest(["a", "bc"]) != digest(["bc", "a"])


def test_without_faiss_the_error_says_what_to_do(monkeypatch, keys):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ModuleNotFoundError, match="faiss='Flat' needs the package faiss-cpu"):
        faiss_index(None, "a", lambda: keys[0], "Flat")


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_flat_index_of_faiss_finds_what_the_matrix_product_finds(tmp_path, keys, is_stored):
    pytest.importorskip("faiss", reason="FAISS is not installed")
    folder = tmp_path if is_stored else None
    plain = PlainIndex(keys[0]).search(keys[1], 7)
    for _ in range(1 + is_stored):
        index = faiss_index(folder, "a", lambda: keys[0], "Flat")
        np.testing.assert_allclose(index.search(keys[1], 7).score_QK, plain.score_QK)
    assert len([*tmp_path.iterdir()]) == 2 * is_stored


def test_an_unknown_index_and_too_few_found_are_refused(keys):
    pytest.importorskip("faiss", reason="FAISS is not installed")
    with pytest.raises(ValueError, match="FAISS knows no index 'Tree'"):
        faiss_index(None, "a", lambda: keys[0], "Tree")
    with pytest.raises(ValueError, match=r"finds \d+ of 50 keys"):
        faiss_index(None, "a", lambda: keys[0], "IVF3,Flat").search(keys[1], 50)
