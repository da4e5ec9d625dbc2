from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.text.packing import Rows, best_fit, concatenate

LENGTHS = st.lists(st.integers(0, 40), max_size=80)
ROW_LENGTH = st.integers(2, 40)


def rows_as_lists(rows: Rows) -> list[list[tuple[int, int, int]]]:
    """Each row as its pieces (document, start, stop)."""
    pieces = list(zip(rows.document.tolist(), rows.start.tolist(), rows.stop.tolist(), strict=True))
    bounds = rows.row_start.tolist()
    return [pieces[a:b] for a, b in pairwise(bounds)]


def tokens_of(rows: Rows) -> list[tuple[int, int]]:
    """All tokens of all rows as (document, position)."""
    every = [piece for row in rows_as_lists(rows) for piece in row]
    return [(document, i) for document, start, stop in every for i in range(start, stop)]


def all_tokens(lengths: list[int]) -> list[tuple[int, int]]:
    return [(document, i) for document, length in enumerate(lengths) for i in range(length)]


def check_rows(rows: Rows, row_length: int) -> None:
    for row in rows_as_lists(rows):
        assert 0 < sum(stop - start for _, start, stop in row) <= row_length
        assert all(start < stop for _, start, stop in row)


@given(LENGTHS, ROW_LENGTH)
def test_best_fit_keeps_every_token_once_and_no_row_overflows(lengths, row_length):
    rows = best_fit(np.array(lengths, np.int64), row_length, "split")
    assert sorted(tokens_of(rows)) == all_tokens(lengths)
    check_rows(rows, row_length)


@given(LENGTHS)
def test_best_fit_cuts_no_document_that_fits(lengths):
    rows = best_fit(np.array(lengths, np.int64), 40)
    assert (rows.start == 0).all()
    assert (rows.stop == np.array(lengths, np.int64)[rows.document]).all()


def plain_best_fit(lengths: list[int], row_length: int) -> int:
    """Rows that the textbook algorithm needs."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms[rooms.index(min(fitting))] -= length
        else:
            rooms.append(row_length - length)
    return len(rooms)


@given(st.lists(st.integers(1, 40), max_size=80))
def test_best_fit_needs_as_many_rows_as_the_textbook_algorithm(lengths):
    assert best_fit(np.array(lengths, np.int64), 40).num_rows == plain_best_fit(lengths, 40)


@given(LENGTHS, ROW_LENGTH)
def test_concatenation_keeps_every_token_once_and_in_order(lengths, row_length):
    rows = concatenate(np.array(lengths, np.int64), row_length)
    assert tokens_of(rows) == all_tokens(lengths)
    check_rows(rows, row_length)


@given(LENGTHS, ROW_LENGTH)
def test_concatenation_fills_every_row_but_the_last(lengths, row_length):
    rows = concatenate(np.array(lengths, np.int64), row_length)
    sizes = [sum(stop - start for _, start, stop in row) for row in rows_as_lists(rows)]
    assert all(size == row_length for size in sizes[:-1])


def test_a_long_document_is_refused_with_the_ways_out():
    with pytest.raises(
        ValueError, match=r"document 1 has 9 tokens, but a row holds 8.*split or drop"
    ):
        best_fit(np.array([3, 9]), 8)


def test_a_long_document_can_be_dropped_and_is_counted():
    rows = best_fit(np.array([3, 9, 4]), 8, "drop")
    assert rows.num_dropped == 1
    assert rows.document.tolist() == [0, 2]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_best_fit_fills_98_percent_of_rows_of_realistic_lengths(seed):
    drawn = np.random.default_rng(seed).lognormal(5.0, 1.0, 20_000).astype(np.int64)
    assert best_fit(np.clip(drawn, 2, 1024), 1024).fill(1024) >= 0.98
