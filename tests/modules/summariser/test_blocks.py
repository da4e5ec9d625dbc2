"""Blocks: which one is noised, what it sees, and how summaries are written one after the other."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from modules.diffusion.schedule import CosineSchedule, EvenSchedule
from modules.nn.generators import generator_of, seed_of
from modules.summariser import system as rooms
from modules.summariser.blocks import Part, spans
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.network.prefix import PrefixDenoiser, rotated
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.masked import Masked
from modules.summariser.processes.projection import Greedy, TopP
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.processes.times import Noising
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from modules.summariser.system import Summariser
from tests.fixtures.summarisers import ROBERTA, options, words

V, S, C = 20, 6, 4
MARKS = Marks(start=0, end=2, pad=1, mask=3)
ARTICLE = torch.tensor([[4, 5, 6, 7], [4, 5, 6, 8]])
MASK = torch.ones(2, C, dtype=torch.bool)
SUMMARY = torch.tensor([[9, 10, 11, 12, 2, 1], [13, 14, 2, 1, 1, 1]])
PROCESSES = {"simplex": Simplex(), "masked": Masked()}
SCHEDULES = {
    "simplex": CosineSchedule(100, offset=1e-4, max_beta=1.0),
    "masked": EvenSchedule(100),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    words(path, ROBERTA)
    return str(path)


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """One process, and no data."""
    alone = SimpleNamespace(accumulate_grad_batches=1, strategy=SimpleNamespace(), world_size=1)
    monkeypatch.setattr(Summariser, "trainer", property(lambda self: alone))


def made(folder, kind, **more):
    torch.manual_seed(0)

    def network(size):
        return PrefixDenoiser(size, S, width=32, depth=2, heads=2, inner=48)

    how = {"process": PROCESSES[kind], "schedule": SCHEDULES[kind], "noising": Noising(draws=4)}
    whole = Summariser(network, folder, generation=Generation(8), **how, **more)
    whole.configure_model()
    return whole


def batch():
    mask = SUMMARY != 1
    return {
        "article_BC": ARTICLE,
        "article_mask_BC": MASK,
        "summary_BS": SUMMARY,
        "summary_mask_BS": mask,
        "id_B": ["a", "b"],
    }


@pytest.mark.parametrize("counts", [False, True])
def test_a_block_is_one_of_those_up_to_the_end_with_their_number_as_weight(counts):
    """Each with the same probability, written as a loop."""
    token = torch.arange(3 * S).view(3, S)
    mask = torch.arange(S) < torch.tensor([[5], [2], [0]])
    whole = Part(token, mask.float() if counts else None)
    for u in (0.0, 0.3, 0.34, 0.7, 0.999):
        part = whole.block(mask, 2, torch.full((3,), u))
        for b, num in enumerate((3, 1, 1)):
            at = 2 * math.floor(u * num)
            assert part.token_BK[b].tolist() == token[b, at : at + 2].tolist()
            assert part.written_BS[b].tolist() == [s < at for s in range(S)]
            real = [float(mask[b, at + k]) if counts else 1.0 for k in range(2)]
            assert part.weight_BK[b].tolist() == [num * one for one in real]


def test_spans_cover_a_summary_in_order_and_nothing_may_be_left_over(folder):
    assert spans(6, 2) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert spans(6, None) == [slice(0, 6)]
    with pytest.raises(ValueError, match="summary_length 6 is no multiple of block_size 4"):
        made(folder, "simplex", block_size=4).summaries(S)


def network(name):
    """A network whose parameters all matter, of a kind."""
    torch.manual_seed(0)
    if name == "prefix":
        found = PrefixDenoiser(V, S, width=16, depth=2, heads=2, inner=24)
    else:
        found = FromConfig(V, options("roberta") | {"hidden_dropout_prob": 0.0}, "roberta")
    with torch.no_grad():
        for one in found.parameters():
            one.add_(0.1 * torch.randn_like(one))
    return found.eval()


def shares(num, size):
    torch.manual_seed(2)
    return (3 * torch.randn(num, size, V)).softmax(-1), torch.rand(num)


@pytest.mark.parametrize("name", ["prefix", "roberta"])
def test_a_block_sees_what_is_written_before_it_and_nothing_behind(name):
    """In training rows have other beginnings, in generation all the same: the same logits."""
    net, (share, time) = network(name), shares(2, 2)
    context = net.read(ARTICLE, MASK)
    start = torch.tensor([4, 2])
    written = torch.arange(S) < start[:, None]
    together = net(share, time, net.behind(context, SUMMARY, written))
    for b in range(2):
        row, own = slice(b, b + 1), SUMMARY[b : b + 1, : start[b]]
        before = net.behind(net.read(ARTICLE[row], MASK[row]), own, torch.ones_like(own).bool())
        alone = net(share[row], time[row], before)
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)
    behind = SUMMARY.where(written, 5)
    assert torch.equal(net(share, time, net.behind(context, behind, written)), together)
    for s in range(2):
        other = SUMMARY.clone()
        other[:, s] = 17
        changed = net(share, time, net.behind(context, other, written))
        assert ((changed - together).abs().flatten(1).amax(1) > 1e-4).all()
    assert not torch.allclose(net(share, time, context), together, atol=1e-3)


def test_what_is_written_stands_in_the_text_where_the_block_goes_on():
    """A rotary embedding turns by differences: written and noised keys are one text."""
    key = torch.randn(2, 1, 5, 8)
    whole = rotated(key)
    rest = rotated(key[:, :, 3:], torch.tensor([3, 3]))
    torch.testing.assert_close(rest, whole[:, :, 3:])
    assert torch.equal(rotated(key, torch.tensor([0, 0])), whole)


def test_the_mean_loss_over_blocks_is_the_loss_of_all_blocks(folder, monkeypatch):
    whole = made(folder, "masked", block_size=2, self_conditioning=SelfConditioning(probability=0))
    monkeypatch.setattr(rooms, "draw_steps", lambda num, *_, **__: torch.full((num,), 100))
    mask = SUMMARY != 1
    expected = 0.0
    for b, num in enumerate((3, 2)):  # all is hidden, so that the noise does not matter
        for n in range(num):
            row = slice(b, b + 1)
            part = Part(SUMMARY[row]).block(mask[row], 2, torch.tensor([(n + 0.5) / num]))
            context = whole.denoiser.read(ARTICLE[row], MASK[row])
            context = whole.denoiser.behind(context, SUMMARY[row], part.written_BS)
            share = torch.zeros(1, 2, whole.denoiser.vocabulary)
            share[..., whole.marks.mask] = 1
            logits = whole.denoiser(share, torch.ones(1), context)
            logits[..., whole.marks.mask] = -torch.inf
            nats = -logits.log_softmax(-1).gather(-1, part.token_BK[..., None])
            expected += nats.sum().item()  # 1 / T of them is shown, and t = T has that chance
    found = []
    for u in [(n + 0.5) / 6 for n in range(6)]:
        monkeypatch.setattr(torch, "rand", lambda *size, u=u, **_: torch.zeros(*size) + u)
        found.append(whole.training_loss(batch()).item())
    assert sum(found) / 6 == pytest.approx(expected, rel=1e-4)


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
            context = net.behind(context, written, torch.ones_like(written).bool())
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

    def read(self, article_BC, mask_BC, told_B=None):
        self.ends = article_BC[:, 0] == 9
        return super().read(article_BC, mask_BC, told_B)

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


@pytest.mark.parametrize(("kind", "size"), [("simplex", 2), ("masked", 3)])
def test_memorised_summaries_come_back_whatever_the_process_and_the_blocks(folder, kind, size):
    whole = made(folder, kind, block_size=size)
    optimizer = torch.optim.AdamW(whole.parameters(), 1e-2)
    for _ in range(60):
        loss = whole.training_loss(batch()) / 12
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(whole.parameters(), 1.0)
        optimizer.step()
    whole.eval()
    nobody = torch.tensor([-100, -100])
    for name in ("a", "b"):
        found = whole.summaries(S).draw(ARTICLE, MASK, nobody, [name, name])
        assert torch.equal(found, SUMMARY)
