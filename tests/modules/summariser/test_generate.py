"""Generation: what tokens depend on, what is counted, and that memorised summaries come back."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import CosineSchedule
from modules.nn.generators import seed_of
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.loss import token_loss
from modules.summariser.marks import Marks
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.process import Tokens
from modules.summariser.processes.projection import MultiHot, Projection, TopP, closed
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide

V, S, C = 24, 5, 7
NUM = 8
MARKS = Marks(start=0, end=2, pad=1)
NAMES = [f"article {n}" for n in range(NUM)]
SCHEDULE = CosineSchedule(200, offset=1e-4, max_beta=1.0)


def network(seed=0):
    torch.manual_seed(seed)
    made = PrefixDenoiser(V, S, width=16, depth=2, heads=2, inner=24).eval()
    with torch.no_grad():
        for one in made.parameters():
            one.add_(0.2 * torch.randn_like(one))
    return made


def articles():
    torch.manual_seed(1)
    mask = torch.arange(C) < torch.randint(2, C + 1, (NUM, 1))
    return torch.randint(3, V, (NUM, C)).where(mask, 1), mask


ASKED = torch.tensor([0, 1, 2, 0, -100, 1, 2, 0])


@dataclass
class Likes:
    """A guide that reads classes in the shares of the first three tokens after the marks."""

    guide: Guide = field(default_factory=lambda: Guide("likes"))

    def targets(self, asked_B: Tensor) -> Tensor:
        return asked_B

    def log_p(self, share_BSV: Tensor, article_BC: Tensor, mask_BC: Tensor) -> Tensor:
        return (6 * share_BSV[..., 3:6].mean(1)).log_softmax(-1)


def likes(**options):
    return Steering(Control([Guide("likes")], **options), [Likes()])


def sampler(net, steering=None, conditioning=None, **options):
    how = Generation(**{"num_steps": 6, **options})
    conditioning = conditioning or SelfConditioning()
    diffusion = Diffusion(Simplex(), SCHEDULE, conditioning, MARKS)
    return SummarySampler(net, diffusion, how, S, steering)


def draw(which, rows, article=None, names=None):
    token, mask = article or articles()
    chosen = [(names or NAMES)[n] for n in rows]
    return which.draw(token[rows], mask[rows], ASKED[rows], chosen)


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


def test_who_watches_sees_every_step_and_changes_nothing():
    net, seen = network(), []
    which = sampler(net, likes(strength=3.0))
    found = which.draw(*articles(), ASKED, NAMES, seen.append)
    assert torch.equal(found, draw(sampler(net, likes(strength=3.0)), list(range(NUM))))
    assert [one.step for one in seen] == which.path[:-1]
    assert torch.equal(seen[-1].tokens.id_BSM[..., 0], found)


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


class Records(Denoiser[Tensor]):
    """Predicts one token everywhere, and remembers what it was shown."""

    vocabulary = V

    def __init__(self, token: int = 7, height: float = 1.0):
        super().__init__()
        self.token, self.height = token, height
        self.times: list[float] = []
        self.shares: list[Tensor] = []
        self.num_read = 0

    def read(self, article_BC: Tensor, mask_BC: Tensor, told_B=None) -> Tensor:
        self.num_read += 1
        return article_BC

    def repeat(self, context: Tensor, num: int) -> Tensor:
        return context.repeat_interleave(num, 0)

    def behind(self, context: Tensor, token_BW: Tensor, mask_BW: Tensor) -> Tensor:
        return context

    def forward(self, share_BSV: Tensor, time_B: Tensor, context: Tensor) -> Tensor:
        self.times.append(float(time_B[0]))
        self.shares.append(share_BSV.clone())
        logits = torch.zeros_like(share_BSV)
        logits[..., self.token] = self.height
        return logits


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


def test_passes_of_network_and_guides_are_counted():
    which = sampler(Records(), likes(every=2), num_steps=7)
    draw(which, [0, 1, 2])
    assert which.cost.denoiser == 3 * 7
    assert which.cost.guide == 3 * 4
    assert which.cost.num_broken == 0
    draw(which, [0])
    assert which.cost.denoiser == 4 * 7
    unguided = sampler(Records(), likes(strength=0), num_steps=7)
    draw(unguided, [0, 1, 2])
    assert unguided.steering is None
    assert unguided.cost.guide == 0


@pytest.mark.parametrize("spacing", ["trailing", "leading", "uniform"])
def test_a_window_is_of_the_times_that_the_network_sees(spacing):
    net = Records()
    which = sampler(net, likes(window=(0.3, 0.8)), num_steps=9, spacing=spacing)
    draw(which, [0])
    assert which.cost.guide == sum(0.3 <= one <= 0.8 for one in net.times)


@pytest.mark.parametrize("options", [{"window": (0.4, 0.45)}, {"window": (0.0, 0.8), "every": 4}])
def test_a_control_that_no_step_of_generation_obeys_is_refused(options):
    """Four steps, at 1, 0.75, 0.5 and 0.25."""
    with pytest.raises(ValueError, match="holds none of the 4 steps of generation"):
        sampler(network(), likes(**options), num_steps=4)


@dataclass(frozen=True)
class Spy(SelfConditioning):
    """Remembers the predictions that it is shown."""

    seen: list[Tensor | None] = field(default_factory=list)

    def input(self, simplex_BSV: Tensor, before_BSV: Tensor | None) -> Tensor:
        self.seen.append(None if before_BSV is None else before_BSV.clone())
        return super().input(simplex_BSV, before_BSV)


@pytest.mark.parametrize("carried", ["unguided", "guided"])
def test_self_conditioning_shows_the_logits_before_or_after_control(carried):
    spy, net = Spy(), Records()
    which = sampler(net, likes(strength=50.0), spy, carried=carried)
    states = [one.logits_BSV.clone() for one in which.states(*articles(), ASKED, NAMES)]
    plain = torch.zeros(NUM, S, V)
    plain[..., 7] = 1.0
    assert spy.seen[0] is None
    assert not torch.equal(states[0], plain)
    for n in range(1, 6):
        expected = states[n - 1] if carried == "guided" else plain
        assert torch.equal(spy.seen[n], expected)


def test_guidance_off_is_unguided_bit_for_bit():
    net, rows = network(), list(range(NUM))
    unguided = draw(sampler(net), rows)
    assert torch.equal(draw(sampler(net, likes(strength=0.0)), rows), unguided)
    guided = draw(sampler(net, likes(strength=500.0)), rows)
    assert not torch.equal(guided, unguided)
    assert torch.equal(guided[4], unguided[4])  # nothing is asked of it


def test_generation_works_in_evaluations_where_gradients_are_off():
    which = sampler(network(), likes(strength=50.0))
    expected = draw(which, [0, 1, 2])
    with torch.inference_mode():
        assert torch.equal(draw(which, [0, 1, 2]), expected)


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
