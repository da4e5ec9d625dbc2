"""Documents in flattened rows."""

import pytest
import torch

from modules.icl.gradients.documents import DocumentTable


def test_documents_may_cross_rows_and_shorter_ones_end_in_zeros():
    table = DocumentTable(2, 3, [4, 2])
    assert table.apart(torch.arange(1, 7)).tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert table.sums(torch.arange(1, 7)).tolist() == [10, 11]


def test_without_lengths_each_row_is_a_document():
    assert DocumentTable(2, 3).sums(torch.arange(6)).tolist() == [3, 12]


def test_documents_that_do_not_fill_the_batch_are_refused():
    with pytest.raises(ValueError, match="5 tokens in all do not fill a batch of 2 x 3 = 6"):
        DocumentTable(2, 3, [4, 1])
