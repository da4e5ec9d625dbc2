import pytest
import torch

from modules.lmfusion.boi import PrefixSample, boi_loss, sample_positions
from modules.lmfusion.loss import IGNORE, image_loss, text_loss
from modules.lmfusion.network.fusion import BOI
from modules.lmfusion.network.mask import IMAGE, LATER, PREFIX, Runs

RUNS = Runs(
    [PREFIX, LATER, IMAGE, PREFIX, PREFIX, LATER, IMAGE, LATER, PREFIX],
    [0, 0, 0, 1, 2, 2, 2, 2, 3],
    [4, 1, 9, 3, 1, 1, 9, 3, 5],
)
ROWS = [7, 8, 9, -1]  # the last document only fills the batch
LABELS = [11, 12, 13, BOI, 21, 22, IGNORE, BOI, *[IGNORE] * 5]
"""Of the prefix: captioned image, text alone, image first, filler."""


def test_the_text_loss_is_the_sum_of_minus_log_p_of_what_follows():
    torch.manual_seed(0)
    logits = torch.randn(13, 31, dtype=torch.float64)
    label = torch.tensor(LABELS).clamp(min=-100)
    expected = 0.0
    for row, target in zip(logits, LABELS, strict=True):
        if target != IGNORE:
            expected -= row.log_softmax(0)[30 if target == BOI else target].item()
    assert text_loss(logits.double(), label).item() == pytest.approx(expected, rel=1e-6)


def test_a_uniform_guess_costs_the_log_of_all_choices():
    label = torch.tensor([3, BOI, IGNORE])
    loss = text_loss(torch.zeros(3, 7), label)
    assert loss.item() == pytest.approx(2 * torch.tensor(7.0).log().item())


def test_without_labels_the_text_loss_is_zero_and_has_a_graph():
    logits = torch.randn(2, 5, requires_grad=True)
    text_loss(logits, torch.full((2,), IGNORE)).backward()
    assert logits.grad.eq(0).all()


def test_the_image_loss_sums_over_images_what_it_averages_within():
    torch.manual_seed(0)
    predicted, target = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    weight = torch.tensor([1.0, 0.0, 0.5])
    expected = 0.0
    for p, t, w in zip(predicted, target, weight, strict=True):
        errors = [d**2 for d in (p - t).flatten().tolist()]
        expected += w.item() * sum(errors) / len(errors)
    assert image_loss(predicted, target, weight).item() == pytest.approx(expected, rel=1e-5)


def test_every_position_before_an_image_is_taken_and_as_many_others():
    torch.manual_seed(0)
    for _ in range(20):
        chosen = sample_positions(RUNS, ROWS)
        label = torch.tensor(LABELS)[chosen.index_K]
        assert chosen.index_K[:2].tolist() == [3, 7]
        assert chosen.num_positions == 7
        assert len(label) == 4
        assert (label >= 0).sum() == 2
        assert chosen.weight_K.tolist() == [1.0, 1.0, 2.5, 2.5]


def test_a_batch_without_images_still_says_where_none_begins():
    chosen = sample_positions(Runs([PREFIX], [0], [6]), [1])
    assert chosen.index_K.tolist()[0] in range(5)
    assert (chosen.weight_K.tolist(), chosen.num_positions) == ([5.0], 5)
    nothing = sample_positions(Runs([PREFIX, LATER, IMAGE], [0, 0, 0], [1, 1, 9]), [-1])
    assert len(nothing.index_K) == nothing.num_positions == 0


def gradient(hidden, label, chosen):
    """Gradient of BOI's output row; the tokens' rows are fixed."""
    torch.manual_seed(1)
    head = torch.randn(30, 8)
    row = torch.zeros(8, requires_grad=True)

    def logits(hidden_KD):
        return torch.cat([hidden_KD @ head.T, hidden_KD @ row[:, None]], -1)

    loss = text_loss(logits(hidden), label) if chosen is None else None
    loss = boi_loss(logits, hidden, label, chosen) if loss is None else loss
    return torch.autograd.grad(loss, [row])[0]


def test_on_average_the_gradient_of_bois_row_is_that_of_the_whole_text_loss():
    torch.manual_seed(2)
    hidden, label = torch.randn(13, 8), torch.tensor(LABELS)
    whole = gradient(hidden, label, None)
    mean = torch.zeros(8)
    for place in range(5):  # each of the other positions, as likely as the next
        index = torch.tensor([3, 7, [0, 1, 2, 4, 5][place]])
        chosen = PrefixSample(index, torch.tensor([1.0, 1.0, 5.0]), 7)
        mean += gradient(hidden, label, chosen) / 5
    torch.testing.assert_close(mean, whole)


def test_other_positions_are_drawn_evenly():
    torch.manual_seed(0)
    positions = torch.cat([sample_positions(RUNS, ROWS).index_K[2:] for _ in range(2000)])
    share = torch.bincount(positions, minlength=13) / len(positions)
    expected = torch.zeros(13)
    expected[[0, 1, 2, 4, 5]] = 0.2
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)


def test_bois_row_learns_to_be_the_likeliest_where_an_image_follows_and_nowhere_else():
    torch.manual_seed(0)
    hidden, label, head = torch.randn(13, 32), torch.tensor(LABELS), torch.randn(30, 32)
    row = torch.zeros(32, requires_grad=True)

    def logits(hidden_KD):
        return torch.cat([hidden_KD @ head.T, hidden_KD @ row[:, None]], -1)

    optimizer = torch.optim.Adam([row], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        boi_loss(logits, hidden, label, sample_positions(RUNS, ROWS)).backward()
        optimizer.step()
    begins = logits(hidden)[:8].argmax(-1) == 30
    assert begins.nonzero().flatten().tolist() == [3, 7]
