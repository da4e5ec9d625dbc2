import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks.claims.icl.candidate_scores import adam_step
from benchmarks.claims.icl.demonstrations import cut
from benchmarks.claims.icl.retraining import Retrained, datamodelling, left_out, spearman

RNG = np.random.default_rng(0)


@pytest.fixture
def retrained():
    """Losses that fall by what each document is worth, with a little noise."""
    worth = RNG.normal(size=40)
    is_in = np.stack([RNG.permutation(40) < 20 for _ in range(32)]).astype(float)
    loss = 3 - 0.1 * (is_in @ worth)[:, None] + 0.01 * RNG.normal(size=(32, 2))
    score = {"worth": worth.tolist(), "against": (-worth).tolist(), "same": [1.0] * 40}
    return Retrained(score, is_in, loss, {"worth": [2.5, 2.7]}, [2.1, 2.2, 2.3])


def test_what_a_document_is_worth_predicts_the_loss_of_halves(retrained):
    found = datamodelling([retrained], "worth", 200)
    assert 0.95 < found.low <= found.value <= found.high <= 1
    assert datamodelling([retrained], "against", 10).value == pytest.approx(-found.value)
    assert datamodelling([retrained], "same", 10).value == 0


def test_what_leaving_out_costs_is_a_difference_of_means_inside_its_interval(retrained):
    found = left_out([retrained], "worth", 200)
    assert found.value == pytest.approx(0.4)
    assert 0.2 <= found.low < found.value < found.high <= 0.6


def test_rank_correlation_is_that_of_scipy():
    first, second = RNG.normal(size=30), RNG.integers(5, size=30).astype(float)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second)[0])


def test_a_step_of_adam_is_what_adam_does():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, dtype=torch.float64))
    adam = torch.optim.Adam([weight], lr=1.0)
    for _ in range(3):
        weight.grad = torch.randn_like(weight)
        adam.step()
    gradient, before = torch.randn(5, dtype=torch.float64), weight.detach().clone()
    want = adam_step(gradient, adam.state[weight])
    weight.grad = gradient
    adam.step()
    torch.testing.assert_close(before - weight.detach(), want)


def test_questions_follow_exactly_so_many_demonstrations_the_fewer_inside_the_more():
    asked = {shown: cut(6, "flipped", shown) for shown in (0, 1, 4, 16)}
    for shown, some in asked.items():
        assert all(len(one.fields["prompt"].split()) == 4 * shown + 2 for one in some)
    for fewer, more in zip(asked[4], asked[16], strict=True):
        assert more.fields["prompt"].startswith(fewer.fields["prompt"].rsplit(" ", 2)[0])
        assert (fewer.choices, fewer.answer) == (more.choices, more.answer)
