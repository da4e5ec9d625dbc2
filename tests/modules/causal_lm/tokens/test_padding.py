import torch

from modules.causal_lm.tokens.padding import padded, positions


def test_padding_is_on_the_side_that_is_asked_for():
    left, left_mask = padded([[5, 6, 7], [8]], pad=9)
    right, right_mask = padded([[5, 6, 7], [8]], left=False)
    assert left.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert left_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert right.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert right_mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_padding_has_no_position_of_its_own():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    assert positions(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
