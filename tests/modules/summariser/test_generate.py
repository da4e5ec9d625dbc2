"""Generation: what tokens depend on, its steps, and that memorised summaries come back."""

import pytest
import torch
from torch import Tensor, nn

from modules.diffusion.noise import gaussian
from modules.nn.generators import seed_of
from modules.summariser.loss import token_loss
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.process import Tokens
from modules.summariser.processes.projection import MultiHot, Projection, TopP, closed
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from tests.fixtures.summary_samplers import (
    ASKED,
    MARKS,
    NAMES,
    NUM,
    SCHEDULE,
    Records,
    S,
    V,
    articles,
    draw,
    likes,
    network,
    sampler,
)


@pytest.mark.parametrize("projection", [TopP(0.95), MultiHot(0.9)])
@pytest.mark.parametrize("is_steered", [True, False])
def test_batches_of_1_3_and_8_give_equal_tokens(projection, is_steered):
    net = network()
    steering = likes(divergence=0.05) if is_steered else None
    found = []
    for size in (1, 3, 8):
        parts = [list(range(n, min(n + size, NUM))) for n in range(0, NUM, size)]
        which = [sampler(net, steering, projection=projection) for _ in parts]
        found.append(torch.cat([draw(a, b) for a, b in zip(which, parts, strict=True)]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert len({tuple(row) for row in found[0].tolist()}) > 1


def test_the_order_of_articles_does_not_matter():
    net, order = network(), [3, 0, 7, 5, 1, 2, 6, 4]
    whole = draw(sampler(net), list(range(NUM)))
    assert torch.equal(draw(sampler(net), order), whole[order])


def test_noise_depends_on_the_id_and_the_seed_alone():
    net, first = network(), [0, 0, 0]
    same = draw(sampler(net), first, names=["a", "a", "a"])
    assert torch.equal(same[0], same[1])
    assert torch.equal(draw(sampler(net), [0], names=["a"]), same[:1])
    many = [f"{n}" for n in range(NUM)]
    rows = [0] * NUM
    others = sampler(net).draw(*(one[rows] for one in articles()), ASKED[rows], many)
    assert len({tuple(row) for row in others.tolist()}) > 1  # of few short texts some are equal
    reseeded = draw(sampler(net, seed=1), list(range(NUM)))
    assert not torch.equal(reseeded, draw(sampler(net), list(range(NUM))))


def test_a_sampler_draws_the_same_again():
    which = sampler(network(), likes())
    assert torch.equal(draw(which, [0, 1, 2]), draw(which, [0, 1, 2]))


@pytest.mark.parametrize("num_steps", [1, 3, 10, 200])
def test_trailing_spacing_visits_that_many_steps_from_the_noisiest_on(num_steps):
    net = Records()
    draw(sampler(net, num_steps=num_steps), [0, 1])
    assert net.times[0] == 1
    assert len(net.times) == num_steps
    expected = [1 - n / num_steps for n in range(num_steps)]
    assert net.times == pytest.approx(expected, abs=0.5 / SCHEDULE.num_steps + 1e-9)
    assert net.num_read == 1


def test_more_steps_than_the_schedule_has_are_refused():
    with pytest.raises(ValueError, match=r"num_steps must lie in \[1, 200\]"):
        sampler(Records(), num_steps=201)


class Fixed(Projection):
    """Always the same token."""

    def project(self, logits_BSV: Tensor, generators) -> Tokens:
        return Tokens.one(torch.full(logits_BSV.shape[:2], 4))


def test_steps_are_the_papers_formula_written_as_a_loop():
    net = Records()
    off = SelfConditioning(probability=0)
    which = sampler(net, conditioning=off, num_steps=4, projection=Fixed(), seed=3)
    draw(which, [2])
    rng = torch.Generator().manual_seed(seed_of(3, NAMES[2]))
    simplex = 5 * gaussian((1, S, V), [rng])
    for n, step in enumerate((200, 150, 100, 50)):
        torch.testing.assert_close(net.shares[n], simplex.softmax(-1))
        abar = float(SCHEDULE.signal(torch.tensor([step - 50]))[0])
        clean = torch.full((1, S, V), -5.0)
        clean[..., 4] = 5.0
        noise = 5 * gaussian((1, S, V), [rng])
        simplex = abar**0.5 * clean + (1 - abar) ** 0.5 * noise


@pytest.mark.parametrize(("last_greedy", "token"), [(True, 7), (False, 4)])
def test_the_last_step_may_take_the_most_likely_tokens(last_greedy, token):
    which = sampler(Records(), projection=Fixed(), last_greedy=last_greedy)
    states = list(which.states(*articles(), ASKED, NAMES))
    assert all((one.tokens.id_BSM == 4).all() for one in states[:-1])
    assert (states[-1].tokens.id_BSM == token).all()
    assert [one.step for one in states] == which.path[:-1]


class Once(Projection):
    """An end mark in the middle, and words behind it."""

    def project(self, logits_BSV: Tensor, generators) -> Tokens:
        return Tokens.one(torch.tensor([4, 5, 2, 6, 2]).expand(logits_BSV.shape[:2]))


@pytest.mark.parametrize("is_closed", [True, False])
def test_padding_may_take_the_place_of_what_stands_behind_the_end(is_closed):
    net = Records()
    off = SelfConditioning(probability=0)
    how = {"projection": Once(), "last_greedy": False, "pads_after_end": is_closed}
    which = sampler(net, conditioning=off, num_steps=20, **how)
    states = list(which.states(*articles(), ASKED, NAMES))
    expected = [4, 5, 2, 1, 1] if is_closed else [4, 5, 2, 6, 2]
    assert all((one.tokens.first == torch.tensor(expected)).all() for one in states)
    assert (net.shares[-1].argmax(-1) == torch.tensor(expected)).all()


def test_of_several_tokens_the_most_likely_says_where_the_end_is():
    token = torch.tensor([[[4, 2], [2, 5], [6, 7]]])
    found = closed(Tokens(token, torch.ones_like(token).bool()), MARKS)
    assert found.id_BSM.tolist() == [[[4, 2], [2, 5], [1, 1]]]
    assert found.is_hot_BSM.tolist() == [[[True, True], [True, True], [True, False]]]


def test_two_memorised_articles_come_back_exactly():
    torch.manual_seed(0)
    net, simplex, conditioning = PrefixDenoiser(V, S, 32, 2, 2, 48), Simplex(), SelfConditioning()
    article = torch.tensor([[3, 4, 5, 6], [3, 4, 5, 7]])
    mask = torch.ones(2, 4, dtype=torch.bool)
    summary = torch.tensor([[8, 9, 10, 2, 1], [11, 12, 2, 1, 1]])
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    token = summary.repeat_interleave(4, 0)
    for number in range(200):
        step = torch.randint(1, SCHEDULE.num_steps + 1, (8,))
        noised = simplex.noised(Tokens.one(token), torch.randn(8, S, V), SCHEDULE.signal(step))
        context, time = net.repeat(net.read(article, mask), 4), step / SCHEDULE.num_steps
        before = None
        if number % 2:
            with torch.no_grad():
                before = net(conditioning.input(noised, None), time, context)
        loss = token_loss(net(conditioning.input(noised, before), time, context), token) / 40
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    for seed in range(3):
        which = sampler(net.eval(), num_steps=5, seed=seed)
        found = which.draw(article, mask, torch.tensor([-100, -100]), ["a", "b"])
        assert torch.equal(found, summary)
