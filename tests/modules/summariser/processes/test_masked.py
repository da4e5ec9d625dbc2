"""Masked diffusion: hiding, the bound that its weights give, and its steps, against plain loops."""

import math
from itertools import product

import pytest
import torch

from modules.diffusion.schedule import CosineSchedule, EvenSchedule
from modules.summariser.processes.masked import HIDDEN, NEVER, Masked
from modules.summariser.processes.process import Alphabet, Tokens
from modules.summariser.processes.times import Noising, draw_steps

V = 3
JOINT = torch.tensor([[0.30, 0.05, 0.05], [0.02, 0.20, 0.08], [0.10, 0.05, 0.15]]).double()
"""Probability of each pair of tokens."""
SCHEDULES = [EvenSchedule(7), CosineSchedule(7, offset=1e-4, max_beta=1.0)]


def known(pair, place):
    """Distribution of the token at a place, given what is shown of a pair."""
    other = pair[1 - place]
    table = JOINT if place == 0 else JOINT.T
    row = table.sum(1) if other == HIDDEN else table[:, other]
    return row / row.sum()


def bound(token, schedule, noising):
    """Mean of the weighted loss over all steps and all that may be hidden, number by number."""
    total, process = 0.0, Masked()
    for t in range(1, schedule.num_steps + 1):
        step = torch.tensor([t])
        left, after = schedule.signal(step), schedule.signal(step - 1)
        chance = noising.chance(step, schedule.num_steps)
        for hidden in product([False, True], repeat=2):
            state = [HIDDEN if h else w for h, w in zip(hidden, token, strict=True)]
            weight = process.weights(torch.tensor([state]), left, after, chance)[0]
            alpha = float(left)
            p = math.prod(1 - alpha if h else alpha for h in hidden)
            nats = [-math.log(float(known(state, n)[w])) for n, w in enumerate(token)]
            total += (
                float(chance) * p * sum(float(w) * n for w, n in zip(weight, nats, strict=True))
            )
    return total


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("power", [1.0, 0.6, 2.0])
def test_the_chances_of_steps_sum_to_one_and_are_those_of_the_draws(schedule, power):
    step = torch.arange(1, 8)
    chance = Noising(power).chance(step, 7)
    assert float(chance.sum()) == pytest.approx(1, abs=1e-12)
    torch.manual_seed(0)
    found = torch.bincount(draw_steps(20_000, 7, power), minlength=8)[1:] / 20_000
    torch.testing.assert_close(found.double(), chance, rtol=0, atol=1e-3)  # they are stratified


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("power", [1.0, 0.6])
def test_of_one_token_the_weights_sum_to_one_whatever_schedule_and_times(schedule, power):
    """So the bound on its negative log-likelihood is that itself."""
    total = 0.0
    for t in range(1, 8):
        step = torch.tensor([t])
        left, chance = schedule.signal(step), Noising(power).chance(step, 7)
        state = torch.tensor([[HIDDEN]])
        weight = Masked().weights(state, left, schedule.signal(step - 1), chance)
        total += float(chance) * float(1 - left) * float(weight)
    assert total == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("power", [1.0, 0.6])
def test_with_true_predictions_and_many_steps_the_loss_is_the_negative_log_likelihood(power):
    for token in ((0, 1), (2, 2), (1, 0)):
        nats = -math.log(float(JOINT[token]))
        few = bound(token, EvenSchedule(2), Noising(power))
        many = bound(token, EvenSchedule(150), Noising(power))
        assert many == pytest.approx(nats, abs=2e-2)
        # two tokens shown at once, with a probability of a half, are taken to be independent
        both = -math.log(float(JOINT.sum(1)[token[0]] * JOINT.sum(0)[token[1]]))
        assert few == pytest.approx((nats + both) / 2, rel=1e-6)


def test_without_the_bound_each_hidden_token_counts_one():
    state = torch.tensor([[HIDDEN, 4], [5, HIDDEN]])
    half = torch.full((2,), 0.5)
    found = Masked(is_bound=False).weights(state, half, half, half)
    assert found.tolist() == [[1, 0], [0, 1]]


def test_each_token_is_hidden_with_the_probability_that_no_signal_is_left():
    process, token = Masked(), torch.randint(9, (3, 4000))
    left = torch.tensor([1.0, 0.7, 0.0]).double()
    torch.manual_seed(0)
    noise = process.noise((3, 4000), Alphabet(9), None, torch.device("cpu"))
    state = process.corrupted(token, noise, left)
    for b in range(3):
        for s in range(50):
            assert state[b, s] == (token[b, s] if noise[b, s] < left[b] else HIDDEN)
    share = (state == HIDDEN).double().mean(1)
    torch.testing.assert_close(share, 1 - left, rtol=0, atol=0.03)


@pytest.mark.parametrize("mask", [None, 1])
def test_the_network_sees_tokens_as_themselves_and_hidden_ones_as_the_mask_or_equal_shares(mask):
    share = Masked().shown(torch.tensor([[2, HIDDEN, 0]]), Alphabet(4, mask)).softmax(-1)
    hidden = [0.25] * 4 if mask is None else [0, 1, 0, 0]
    assert share.tolist() == [[[0, 0, 1, 0], hidden, [1, 0, 0, 0]]]


@pytest.mark.parametrize("mask", [None, 1])
def test_no_mask_is_predicted_and_what_is_shown_stays(mask):
    torch.manual_seed(0)
    logits = 5 * torch.randn(1, 3, 4)
    found = Masked().predicted(logits, torch.tensor([[2, HIDDEN, 0]]), Alphabet(4, mask))
    share = found.softmax(-1)
    assert share[0, 0].tolist() == [0, 0, 1, 0]
    assert share[0, 2].tolist() == [1, 0, 0, 0]
    row = [math.exp(float(one)) for one in logits[0, 1]]
    if mask is not None:
        row[mask] = 0
    assert share[0, 1].tolist() == pytest.approx([one / sum(row) for one in row], rel=1e-5)
    assert found.isfinite().all()  # so that 0 times it is 0
    assert float(found.min()) >= NEVER


def test_a_step_shows_the_share_of_hidden_tokens_that_the_schedule_says():
    process, num = Masked(), 20_000
    state = torch.full((2, num), HIDDEN)
    state[:, : num // 2] = 5
    torch.manual_seed(0)
    noise = torch.rand(2, num)
    left, after = torch.tensor([0.2, 0.0]).double(), torch.tensor([0.6, 1.0]).double()
    found = process.step(state, Tokens.one(torch.full((2, num), 7)), noise, left, after)
    assert (found[:, : num // 2] == 5).all()
    for b, share in enumerate(((0.6 - 0.2) / (1 - 0.2), 1.0)):
        shown = found[b, num // 2 :] == 7
        assert shown.tolist() == (noise[b, num // 2 :] < share).tolist()
        assert ((found[b, num // 2 :] == HIDDEN) == ~shown).all()


def test_everything_is_hidden_at_the_start():
    assert (Masked().start(torch.rand(2, 3)) == HIDDEN).all()


def test_options_that_have_no_meaning_with_hidden_tokens_are_refused():
    with pytest.raises(ValueError, match="projection MultiHot leaves several tokens"):
        Masked().check(holds_several=True, averages_logits=False)
    with pytest.raises(ValueError, match="form logits averages with noised logits"):
        Masked().check(holds_several=False, averages_logits=True)
