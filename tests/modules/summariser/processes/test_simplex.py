"""Noising and self-conditioning against the formulas, written as plain loops."""

import math

import pytest
import torch

from modules.summariser.processes.process import Tokens
from modules.summariser.processes.simplex import SelfConditioning, Simplex

SHARES = torch.tensor([0.9, 0.3, 0.0, 1.0])
"""Signal left of four summaries, none and all of it included."""


def by_loops(hot, noise, abar, scale):
    """S_t in double precision, number by number: hot holds the tokens of each position."""
    found = torch.zeros(noise.shape, dtype=torch.float64)
    for b, rows in enumerate(hot):
        for s, tokens in enumerate(rows):
            for v in range(noise.shape[-1]):
                clean = scale if v in tokens else -scale
                eps = scale * float(noise[b, s, v])
                a = float(abar[b])
                found[b, s, v] = math.sqrt(a) * clean + math.sqrt(1 - a) * eps
    return found


@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_noising_one_token_a_position_is_the_papers_formula(scale):
    torch.manual_seed(0)
    token, noise = torch.randint(7, (4, 3)), torch.randn(4, 3, 7)
    hot = [[{int(one)} for one in row] for row in token]
    expected = by_loops(hot, noise, SHARES, scale)
    found = Simplex(scale).noised(Tokens.one(token), noise.clone(), SHARES)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_noising_several_tokens_a_position_lifts_those_that_count():
    torch.manual_seed(1)
    noise = torch.randn(4, 3, 7)
    id = torch.stack([torch.randperm(7)[:4] for _ in range(12)]).view(4, 3, 4)
    is_hot = torch.rand(4, 3, 4) < 0.5
    is_hot[0, 0] = False
    hot = [
        [{int(v) for v, h in zip(id[b, s], is_hot[b, s], strict=True) if h} for s in range(3)]
        for b in range(4)
    ]
    found = Simplex(5.0).noised(Tokens(id, is_hot), noise.clone(), SHARES)
    expected = by_loops(hot, noise, SHARES, 5.0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_all_signal_is_the_simplex_itself_and_none_is_the_noise():
    token, noise = torch.tensor([[2, 0]]), torch.randn(1, 2, 4)
    clean = Simplex(5.0).noised(Tokens.one(token), noise.clone(), torch.ones(1))
    assert clean.tolist() == [[[-5, -5, 5, -5], [5, -5, -5, -5]]]
    found = Simplex(5.0).noised(Tokens.one(token), noise.clone(), torch.zeros(1))
    assert torch.equal(found, 5 * noise)


def test_noise_of_a_summary_ignores_its_batch():
    token, noise = torch.randint(7, (4, 3)), torch.randn(4, 3, 7)
    whole = Simplex().noised(Tokens.one(token), noise.clone(), SHARES)
    alone = Simplex().noised(Tokens.one(token[1:2]), noise[1:2].clone(), SHARES[1:2])
    assert torch.equal(whole[1:2], alone)


def softmax(row):
    e = [math.exp(float(one)) for one in row]
    return [one / sum(e) for one in e]


def conditioned(form, simplex, before):
    """The network's input of one position, as the paper or the authors' code say."""
    if form == "logits":
        mean = [(a + b) / 2 for a, b in zip(simplex, before, strict=True)] if before else simplex
        return softmax(mean)
    earlier = softmax(before or [0.0] * len(simplex))  # the authors' code starts from zeros
    return [(a + b) / 2 for a, b in zip(softmax(simplex), earlier, strict=True)]


@pytest.mark.parametrize("form", ["probabilities", "logits"])
@pytest.mark.parametrize("has_before", [True, False])
def test_self_conditioning_averages_as_the_code_and_the_paper_do(form, has_before):
    torch.manual_seed(2)
    simplex, logits = 5 * torch.randn(2, 3, 6), 3 * torch.randn(2, 3, 6)
    before = logits if has_before else None
    kept = simplex.clone(), logits.clone()
    found = SelfConditioning(form).input(simplex, before)
    for b in range(2):
        for s in range(3):
            earlier = logits[b, s].tolist() if has_before else None
            expected = conditioned(form, simplex[b, s].tolist(), earlier)
            assert found[b, s].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(simplex, kept[0])
    assert torch.equal(logits, kept[1])


@pytest.mark.parametrize("form", ["probabilities", "logits"])
def test_without_self_conditioning_the_simplex_stands_alone(form):
    simplex, before = torch.randn(2, 3, 6), torch.randn(2, 3, 6)
    off = SelfConditioning(form, probability=0)
    assert not off.is_on
    assert torch.equal(off.input(simplex, before), simplex.softmax(-1))


@pytest.mark.parametrize("form", ["probabilities", "logits"])
def test_shares_sum_to_one_in_single_precision_whatever_the_predictions_are_in(form):
    before = (9 * torch.randn(2, 3, 50)).bfloat16()
    found = SelfConditioning(form).input(5 * torch.randn(2, 3, 50), before)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3))


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        Simplex(0)
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\], got 2"):
        SelfConditioning(probability=2)
