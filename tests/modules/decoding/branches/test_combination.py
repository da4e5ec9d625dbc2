import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.decoding.branches.combination import (
    AdaptiveContrast,
    PlausibleOnly,
    WeightedSum,
    jensen_shannon,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


def test_the_sum_is_of_powers_of_the_distributions():
    first, second = random(2, 11), random(2, 11, seed=1)
    p = WeightedSum()([first, second], [1.5, -0.5]).softmax(-1)
    wanted = first.softmax(-1) ** 1.5 / second.softmax(-1) ** 0.5
    torch.testing.assert_close(p, wanted / wanted.sum(-1, keepdim=True))


def test_the_sum_is_in_float32_and_leaves_its_inputs_alone():
    logits = random(2, 11).bfloat16()
    before = logits.clone()
    total = WeightedSum()([logits, logits], [2.0, -1.0])
    assert total.dtype == torch.float32
    assert torch.equal(logits, before)
    torch.testing.assert_close(total, logits.float())
    exact = random(2, 11)
    kept = exact.clone()
    WeightedSum()([exact, exact], [1.0, 1.0])
    assert torch.equal(exact, kept)


@given(seed=st.integers(0, 1000), num=st.integers(2, 9))
def test_the_divergence_is_that_of_a_plain_sum_within_0_and_1(seed, num):
    first, second = random(num, seed=seed).double(), random(num, seed=seed + 1).double() * 4
    p, q = first.softmax(-1), second.softmax(-1)
    m = (p + q) / 2
    wanted = sum(
        float(a * (a / b).log2()) / 2 for r in (p, q) for a, b in zip(r, m, strict=True) if a > 0
    )
    divergence = float(jensen_shannon(first, second))
    assert divergence == pytest.approx(wanted, abs=1e-9)
    assert 0 <= divergence <= 1


def test_the_divergence_of_equals_is_0_and_of_opposites_1():
    logits = random(3, 5)
    assert float(jensen_shannon(logits, logits).max()) == pytest.approx(0, abs=1e-6)
    far = torch.tensor([-torch.inf, 0.0, -torch.inf]), torch.tensor([0.0, -torch.inf, -torch.inf])
    assert float(jensen_shannon(*far)) == pytest.approx(1)


def test_branches_that_agree_are_not_pulled_apart_by_the_adaptive_contrast():
    logits = random(3, 5)
    torch.testing.assert_close(AdaptiveContrast()([logits, logits], [9.0, 9.0]), logits)
    opposite = random(3, 5, seed=3)
    alpha = jensen_shannon(logits, opposite)[:, None]
    wanted = (1 + alpha) * logits - alpha * opposite
    torch.testing.assert_close(AdaptiveContrast()([logits, opposite], [0.0, 0.0]), wanted)
    wanted = 1.5 * logits - 0.5 * opposite
    torch.testing.assert_close(AdaptiveContrast(0.0, 0.5)([logits, opposite], [0.0, 0.0]), wanted)


def test_an_adaptive_contrast_of_three_is_refused():
    with pytest.raises(ValueError, match="two branches, got 3"):
        AdaptiveContrast()([random(2)] * 3, [1.0] * 3)


def test_the_cut_keeps_what_the_first_branch_finds_likely():
    first, second = random(4, 50), random(4, 50, seed=1)
    total = PlausibleOnly(WeightedSum(), 0.1)([first, second], [2.0, -1.0])
    p = first.softmax(-1)
    kept = p >= 0.1 * p.amax(-1, keepdim=True)
    assert torch.equal(total.isfinite(), kept)
    torch.testing.assert_close(total[kept], (2 * first - second)[kept])


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_shares_without_meaning_are_refused(share):
    with pytest.raises(ValueError, match=r"in \(0, 1\], got"):
        PlausibleOnly(WeightedSum(), share)
