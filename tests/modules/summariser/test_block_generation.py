"""Blocks in generation: each after the other, and like a plain loop."""

from dataclasses import dataclass, field

import pytest
import torch
from torch.nn import functional as F

from modules.nn.generators import generator_of, seed_of
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.projection import Greedy, TopP
from modules.summariser.processes.simplex import SelfConditioning
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from tests.fixtures.summary_blocks import MARKS, PROCESSES, SCHEDULES, C, S, V, network


@dataclass
class Reads:
    """A guide of the first three words' shares that remembers what it was shown."""

    guide: Guide = field(default_factory=lambda: Guide("reads"))
    seen: list[torch.Tensor] = field(default_factory=list)

    def targets(self, asked):
        return asked

    def log_p(self, share, article, mask):
        self.seen.append(share.detach().clone())
        return (6 * share[..., 4:7].mean(1)).log_softmax(-1)


def sampler(net, kind, size, reads=None, **control):
    how = Diffusion(PROCESSES[kind], SCHEDULES[kind], SelfConditioning(), MARKS, size)
    steering = None if reads is None else Steering(Control([reads.guide], **control), [reads])
    return SummarySampler(net, how, Generation(4), S, steering)


ASKED = torch.tensor([0, 1, 2, -100, 1, 0, 2, 1])
NAMES = [f"article {n}" for n in range(8)]


def eight():
    torch.manual_seed(1)
    mask = torch.arange(C) < torch.randint(1, C + 1, (8, 1))
    return torch.randint(4, V, (8, C)).where(mask, 1), mask


def draw(which, rows):
    article, mask = eight()
    return which.draw(article[rows], mask[rows], ASKED[rows], [NAMES[n] for n in rows])


CASES = [("simplex", 2), ("masked", None), ("masked", 3)]


@pytest.mark.parametrize("name", ["prefix", "roberta"])
@pytest.mark.parametrize(("kind", "size"), CASES)
def test_batches_of_1_3_and_8_give_equal_tokens_and_lambda_0_is_unguided(name, kind, size):
    net, everyone = network(name), list(range(8))
    guided = draw(sampler(net, kind, size, Reads(), strength=500.0), everyone)
    for num in (1, 3):
        parts = [everyone[n : n + num] for n in range(0, 8, num)]
        which = sampler(net, kind, size, Reads(), strength=500.0)
        assert torch.equal(torch.cat([draw(which, part) for part in parts]), guided)
    free = draw(sampler(net, kind, size), everyone)
    assert torch.equal(draw(sampler(net, kind, size, Reads(), strength=0.0), everyone), free)
    assert not torch.equal(guided, free)
    assert torch.equal(guided[3], free[3])  # nothing is asked of it
    assert len({tuple(row) for row in free.tolist()}) > 1
    assert ((free >= 0) & (free < V)).all()
    if kind == "masked":
        assert (free != MARKS.mask).all()


def plainly(net, kind, size, row):
    """A summary's tokens, one article, step by step as the papers write it."""
    article, mask = (one[row : row + 1] for one in eight())
    length = int(mask.sum())
    rng = torch.Generator().manual_seed(seed_of(0, NAMES[row]))
    choices = generator_of(0, NAMES[row], "tokens")
    alphas = [float(SCHEDULES[kind].signal(torch.tensor(t))) for t in (100, 75, 50, 25, 0)]
    written = torch.zeros(1, 0, dtype=torch.int64)
    while written.shape[1] < S and 2 not in written[0] and 1 not in written[0]:
        num = size or S
        context = net.read(article[:, :length], mask[:, :length])
        if written.shape[1]:
            context = net.extended(context, written, torch.ones_like(written).bool())
        if kind == "simplex":
            state = 5 * torch.randn(1, num, V, generator=rng)
        else:
            torch.rand(num, generator=rng)
            state = [None] * num
        before = torch.full((1, num, V), 1 / V)
        for n in range(4):
            if kind == "simplex":
                own = state.softmax(-1)
            else:
                held = torch.tensor([[MARKS.mask if one is None else one for one in state]])
                own = F.one_hot(held, V).float()
            logits = net((own + before) / 2, torch.tensor([1 - n / 4]), context)
            if kind == "masked":
                logits[..., MARKS.mask] = -torch.inf
                for s, one in enumerate(state):
                    if one is not None:
                        logits[0, s] = torch.where(torch.arange(V) == one, 0.0, -torch.inf)
            before = logits.softmax(-1)
            projection = Greedy() if n == 3 else TopP()
            token = projection.project(logits.clamp(min=-1e4), [choices]).first
            a, b = alphas[n], alphas[n + 1]
            if n == 3:
                break
            if kind == "simplex":
                clean = 10 * F.one_hot(token, V).float() - 5
                noise = 5 * torch.randn(1, num, V, generator=rng)
                state = b**0.5 * clean + (1 - b) ** 0.5 * noise
            else:
                for s, u in enumerate(torch.rand(num, generator=rng).tolist()):
                    if state[s] is None and u < (b - a) / (1 - a):
                        state[s] = int(token[0, s])
        written = torch.cat([written, token], 1)
    return F.pad(written, (0, S - written.shape[1]), value=1)[0]


@pytest.mark.parametrize("name", ["prefix", "roberta"])
@pytest.mark.parametrize(("kind", "size"), CASES)
def test_summaries_are_those_of_a_plain_loop(name, kind, size):
    net = network(name)
    with torch.no_grad():
        for row in (0, 5):
            found = draw(sampler(net, kind, size), [row])[0]
            assert found.tolist() == plainly(net, kind, size, row).tolist()


class Ends(PrefixDenoiser):
    """Ends the summaries of articles that begin with 9 in their first block, the others never."""

    def read(self, article_BC, mask_BC, condition_B=None):
        self.ends = article_BC[:, 0] == 9
        return super().read(article_BC, mask_BC, condition_B)

    def forward(self, share, time, context):
        self.num = [*getattr(self, "num", []), len(share)]
        logits = torch.zeros_like(share)
        logits[..., 7] = 9.0
        logits[self.ends, 1, 2] = 20.0
        return logits


def test_a_summary_that_has_ended_takes_no_part_in_later_blocks():
    article = torch.tensor([[4, 5], [9, 5], [4, 6]])
    net, asked = Ends(V, S, 16, 1, 2, 16).eval(), torch.tensor([0, 0, 0])
    reads = Reads()
    which = sampler(net, "simplex", 2, reads)
    found = which.draw(article, torch.ones_like(article).bool(), asked, ["a", "b", "c"])
    assert found.tolist() == [[7] * 6, [7, 2, 1, 1, 1, 1], [7] * 6]
    assert net.num == [3] * 4 + [2] * 8
    assert which.cost.denoiser == sum(net.num)
    assert which.cost.guide == sum(net.num)
    written = [(one[:, :-2] == F.one_hot(torch.tensor(7), V)).all() for one in reads.seen]
    assert all(written)  # the guide sees what was written, as it stands
    assert [one.shape[1] for one in reads.seen] == [2] * 4 + [4] * 4 + [6] * 4


def test_where_all_have_ended_or_there_are_none_all_blocks_are_computed_as_on_other_ranks():
    article = torch.tensor([[9, 5]])
    for rows in (slice(0, 1), slice(0, 0)):
        net = Ends(V, S, 16, 1, 2, 16).eval()
        given = article[rows], torch.ones_like(article[rows]).bool(), torch.zeros(1)[rows].long()
        found = sampler(net, "simplex", 2, Reads()).draw(*given, ["a"][rows])
        assert found.tolist() == [[7, 2, 1, 1, 1, 1]][rows]
        assert net.num == [len(article[rows])] * 4 + [0] * 8


def test_each_state_holds_all_summaries_as_they_read_then():
    article, mask = eight()
    which = sampler(network("prefix"), "masked", 3)
    states = list(which.states(article, mask, ASKED, NAMES))
    assert len(states) == 2 * 4
    for one in states[:4]:
        assert (one.token_BS[:, 3:] == MARKS.pad).all()
        assert torch.equal(one.token_BS[:, :3], one.tokens.first)
    assert torch.equal(states[5].token_BS[:, :3], states[3].token_BS[:, :3])
    assert torch.equal(states[-1].token_BS, draw(which, list(range(8))))
