"""Squared norms in either way."""

import torch

from modules.icl.gradients.norms import ghost_square, matrix_square, rows_square, streamed_square


def factors(length, num_out=5, num_in=3, num_documents=2):
    torch.manual_seed(0)
    return torch.randn(num_documents, length, num_out), torch.randn(num_documents, length, num_in)


def test_products_between_tokens_and_the_gradient_itself_give_the_same_norm():
    pair = factors(4)
    torch.testing.assert_close(ghost_square(*pair), streamed_square(*pair))


def test_the_way_of_fewer_operations_is_taken():
    short, long = factors(1), factors(40)
    assert torch.equal(matrix_square(*short), ghost_square(*short))
    assert torch.equal(matrix_square(*long), streamed_square(*long))
    assert not torch.equal(streamed_square(*long), ghost_square(*long))


def test_tokens_of_the_same_row_are_added_before_they_are_squared():
    gradient_NMD, id_NM = (
        torch.tensor([[[1.0], [2.0], [4.0]]] * 2),
        torch.tensor([[0, 0, 7], [7, 3, 3]]),
    )
    assert rows_square(gradient_NMD, id_NM).tolist() == [3**2 + 4**2, 1 + 6**2]
