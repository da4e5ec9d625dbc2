"""Bounds of what the unseen tokens may change, against brute force and linear programs."""

from math import inf, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.decoding.black_box.proxy import proxy_step, unseen_masses


def exact(p_V, delta_V):
    """The reweighted distribution over the whole vocabulary, by a loop."""
    weights = [p * np.exp(d) for p, d in zip(p_V.tolist(), delta_V.tolist(), strict=True)]
    return torch.tensor([w / sum(weights) for w in weights], dtype=torch.float64)


def distance(step, q_V):
    """Total-variation distance between what a step gives and the exact distribution."""
    given_V = torch.zeros(len(q_V), dtype=torch.float64)
    given_V[step.id_K] = step.logprob_K.exp()
    return float((given_V - q_V).abs().sum() / 2)


def draw(seed, num, sharp, spread):
    rng = np.random.default_rng(seed)
    p_V = torch.tensor(rng.dirichlet(np.full(num, sharp)))
    return p_V.clamp(min=1e-300), torch.tensor(rng.normal(scale=spread, size=num))


def top(p_V, k):
    value, place = p_V.topk(k)
    return place, value.log()


CASES = {
    "seed": st.integers(0, 10_000),
    "num": st.integers(2, 40),
    "share": st.floats(0.0, 1.0),
    "sharp": st.sampled_from([0.05, 0.3, 1.0, 10.0]),
    "spread": st.sampled_from([0.0, 0.5, 3.0]),
}


@given(**CASES)
@settings(max_examples=100, deadline=None)
def test_the_exact_distance_is_within_the_bounds(seed, num, share, sharp, spread):
    p_V, delta_V = draw(seed, num, sharp, spread)
    k = max(1, round(share * num))
    step = proxy_step(*top(p_V, k), delta_V)
    q_V = exact(p_V, delta_V)
    true_distance = distance(step, q_V)
    assert step.low - 1e-12 <= true_distance <= step.high + 1e-12
    chosen = step.id_K[step.logprob_K.argmax()]
    if step.is_certain:
        assert q_V[chosen] == q_V.max()
    torch.testing.assert_close(q_V[step.id_K], (1 - true_distance) * step.logprob_K.exp())


@given(**CASES, num_orphans=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_listed_tokens_without_an_id_are_within_the_bounds(
    seed, num, share, sharp, spread, num_orphans
):
    p_V, delta_V = draw(seed, num, sharp, spread)
    k = min(num, max(2, round(share * num)))
    id_K, logprob_K = top(p_V, k)
    is_unmatched_K = torch.zeros(k, dtype=torch.bool)
    places = np.random.default_rng(seed).permutation(k)[: min(num_orphans, k - 1)]
    is_unmatched_K[torch.from_numpy(places)] = True
    cap, unmatched = float(logprob_K[-1].exp()), logprob_K[is_unmatched_K].exp().tolist()
    step = proxy_step(id_K[~is_unmatched_K], logprob_K[~is_unmatched_K], delta_V, cap, unmatched)
    q_V = exact(p_V, delta_V)
    assert step.low - 1e-12 <= distance(step, q_V) <= step.high + 1e-12
    if step.is_certain:
        assert q_V[step.id_K[step.logprob_K.argmax()]] == q_V.max()


@pytest.mark.parametrize("seed", range(15))
def test_the_bounds_are_those_of_a_linear_program(seed):
    from scipy.optimize import linprog

    p_V, delta_V = draw(seed, 12, 1.0, 1.5)
    k = 1 + seed % 6
    id_K, logprob_K = top(p_V, k)
    step = proxy_step(id_K, logprob_K, delta_V, rounding=0.0)
    is_unseen = torch.ones(12, dtype=torch.bool)
    is_unseen[id_K] = False
    weight_N = delta_V[is_unseen].exp().numpy()
    z = float((logprob_K + delta_V[id_K]).exp().sum())
    r, cap = 1 - float(logprob_K.exp().sum()), float(logprob_K[-1].exp())
    for sign, bound in ((1, step.low), (-1, step.high)):
        solved = linprog(
            sign * weight_N, A_eq=np.ones((1, 12 - k)), b_eq=[r], bounds=[(0, cap)] * (12 - k)
        )
        u = sign * solved.fun
        assert bound == pytest.approx(u / (z + u), abs=1e-9)


def test_a_distribution_that_reaches_the_bounds():
    delta_V = torch.tensor([0.0, 0.0, 3.0, 2.0, -1.0, -2.0], dtype=torch.float64)
    best = torch.tensor([0.3, 0.25, 0.25, 0.2, 0.0, 0.0], dtype=torch.float64)
    worst = torch.tensor([0.3, 0.25, 0.0, 0.0, 0.2, 0.25], dtype=torch.float64)
    step = proxy_step(torch.tensor([0, 1]), best[:2].log(), delta_V, rounding=0.0)
    assert distance(step, exact(best, delta_V)) == pytest.approx(step.high, abs=1e-12)
    assert distance(step, exact(worst, delta_V)) == pytest.approx(step.low, abs=1e-12)
    assert not step.is_certain
    assert exact(best, delta_V).argmax() == 2


@pytest.mark.parametrize("seed", range(40))
def test_an_uncertain_arg_max_can_be_another_one(seed):
    p_V, delta_V = draw(seed, 8, 1.0, 1.0)
    k = 1 + seed % 5
    id_K, logprob_K = top(p_V, k)
    step = proxy_step(id_K, logprob_K, delta_V, rounding=0.0)
    is_unseen = torch.ones(8, dtype=torch.bool)
    is_unseen[id_K] = False
    order = torch.where(is_unseen)[0][delta_V[is_unseen].argsort(descending=True)]
    other_V = p_V.clone()
    r, cap = 1 - float(logprob_K.exp().sum()), float(logprob_K[-1].exp())
    other_V[order] = unseen_masses(r, cap, [], 8 - k)  # it agrees with everything that was reported
    other = exact(other_V, delta_V)
    assert step.is_certain == (other.argmax() == step.id_K[step.logprob_K.argmax()])


def test_with_all_tokens_it_is_exact_proxy_tuning():
    p_V, delta_V = draw(0, 20, 0.5, 2.0)
    step = proxy_step(*top(p_V, 20), delta_V)
    assert step.low == step.high == 0.0
    assert step.is_certain
    torch.testing.assert_close(step.logprob_K.exp(), exact(p_V, delta_V)[step.id_K])


def test_without_offsets_it_is_the_base_and_what_is_missing_is_known():
    p_V, _ = draw(1, 20, 0.5, 1.0)
    id_K, logprob_K = top(p_V, 5)
    step = proxy_step(id_K, logprob_K, torch.zeros(20), rounding=0.0)
    torch.testing.assert_close(step.logprob_K, logprob_K - logprob_K.logsumexp(0))
    assert step.unseen == pytest.approx(1 - float(logprob_K.exp().sum()), abs=1e-12)
    assert step.low == pytest.approx(step.unseen, abs=1e-12)
    assert step.high == pytest.approx(step.unseen, abs=1e-12)
    assert step.is_certain


def test_a_constant_on_all_offsets_changes_nothing():
    p_V, delta_V = draw(2, 20, 0.5, 1.0)
    plain = proxy_step(*top(p_V, 4), delta_V)
    shifted = proxy_step(*top(p_V, 4), delta_V + 500.0)
    torch.testing.assert_close(plain.logprob_K, shifted.logprob_K)
    assert plain.high == pytest.approx(shifted.high)


def test_offsets_far_apart_do_not_overflow():
    delta_V = torch.tensor([0.0, 900.0, -900.0])
    step = proxy_step(torch.tensor([0]), torch.tensor([log(0.9)]), delta_V)
    assert step.high == 1.0
    assert step.low == 0.0
    assert not step.is_certain


def test_forbidden_tokens_have_no_part():
    p_V = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    step = proxy_step(*top(p_V, 2), torch.tensor([0.0, -inf, -inf]), rounding=0.0)
    assert step.logprob_K.exp().tolist() == [1.0, 0.0]
    assert step.high == 0.0


def test_rounding_widens_the_bounds_of_large_offsets():
    delta_V = torch.tensor([0.0, 30.0])
    logprob_K = torch.tensor([0.0])  # 1 - 1e-9, reported in single precision
    sure = proxy_step(torch.tensor([0]), logprob_K, delta_V, rounding=0.0)
    assert sure.high == 0.0
    assert proxy_step(torch.tensor([0]), logprob_K, delta_V).high > 0.99


def test_without_a_cap_all_that_is_left_may_be_one_token():
    delta_V = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    step = proxy_step(torch.tensor([0]), torch.tensor([log(0.4)]), delta_V, 1.0, rounding=0.0)
    u = 0.6 * np.exp(2.0)
    assert step.high == pytest.approx(u / (0.4 + u), rel=1e-6)


def test_unseen_masses_are_as_unequal_as_they_can_be():
    assert unseen_masses(0.5, 0.2, [], 4).tolist() == pytest.approx([0.2, 0.2, 0.1, 0.0])
    assert unseen_masses(0.5, 0.1, [0.3], 4).tolist() == pytest.approx([0.3, 0.1, 0.1, 0.0])
    assert unseen_masses(0.0, 0.1, [], 0).tolist() == []
    assert unseen_masses(0.5, 1.0, [0.3], 3).tolist() == pytest.approx([0.5, 0.0, 0.0])


def test_what_cannot_be_is_refused():
    two, half = torch.tensor([0, 1]), torch.tensor([0.5, 0.25]).log()
    with pytest.raises(ValueError, match="no token is seen"):
        proxy_step(two[:0], half[:0], torch.zeros(3))
    with pytest.raises(ValueError, match="from 0 to 1 with 1 offsets"):
        proxy_step(two, half, torch.zeros(1))
    with pytest.raises(ValueError, match="seen twice"):
        proxy_step(torch.tensor([1, 1]), half, torch.zeros(3))
    with pytest.raises(ValueError, match="NaN or plus infinity"):
        proxy_step(two, half, torch.tensor([0.0, inf, 0.0]))
    with pytest.raises(ValueError, match=r"2 tokens sum to 1\.5 > 1"):
        proxy_step(two, torch.tensor([1.0, 0.5]).log(), torch.zeros(3))
    with pytest.raises(ValueError, match="forbid all of the 2 tokens"):
        proxy_step(two, half, torch.tensor([-inf, -inf, 0.0]))
    with pytest.raises(ValueError, match=r"1 unseen tokens of at most 0\.1 cannot hold"):
        proxy_step(two, half, torch.zeros(3), cap=0.1)
