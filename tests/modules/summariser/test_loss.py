"""The loss of a step and of an evaluation: what counts, and that batches do not matter."""

import math
from types import SimpleNamespace

import pytest
import torch

from modules.diffusion.schedule import CosineSchedule
from modules.summariser import system as rooms
from modules.summariser.loss import token_loss
from modules.summariser.marks import Marks
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.simplex import SelfConditioning
from modules.summariser.processes.times import draw_steps, own_steps, steps_of
from modules.summariser.system import Noising, Summariser
from tests.fixtures.summarisers import ROBERTA, words

S, C, NUM = 6, 7, 8
LENGTHS = torch.tensor([6, 1, 3, 2, 5, 4, 1, 6])
"""Real positions of the summaries, ends included."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    words(path, ROBERTA)
    return str(path)


def made(folder, **more):
    """A summariser beside no trainer but a count of micro-batches."""
    torch.manual_seed(0)

    def network(size):
        return PrefixDenoiser(size, S, width=16, depth=2, heads=2, inner=24)

    schedule = CosineSchedule(100, offset=1e-4, max_beta=1.0)
    whole = Summariser(network, folder, schedule=schedule, **more)
    whole.configure_model()
    with torch.no_grad():
        for one in whole.parameters():
            one.add_(0.2 * torch.randn_like(one))
    accumulate(whole, 1)
    return whole


def accumulate(whole, num):
    """Pretend that a step has that many micro-batches."""
    state, strategy = SimpleNamespace(fn="fit"), SimpleNamespace()
    whole.stand_in = SimpleNamespace(accumulate_grad_batches=num, state=state, strategy=strategy)


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    """A trainer in name only."""
    monkeypatch.setattr(Summariser, "trainer", property(lambda self: self.stand_in))


def batch(rows=range(NUM), step=None):
    """Some of eight articles; the step they are in holds all."""
    torch.manual_seed(4)
    article = torch.randint(5, 20, (NUM, C))
    article_mask = torch.arange(C) < torch.randint(2, C + 1, (NUM, 1))
    summary_mask = torch.arange(S) < LENGTHS[:, None]
    token = torch.randint(5, 20, (NUM, S)).where(summary_mask, 1)
    token[torch.arange(NUM), LENGTHS - 1] = 2
    rows = list(rows)

    def counts(some):
        tokens = int(LENGTHS[some].sum())
        return {"articles": len(some), "tokens": tokens, "positions": len(some) * S}

    return {
        "article_BC": article[rows].where(article_mask[rows], 1),
        "article_mask_BC": article_mask[rows],
        "summary_BS": token[rows],
        "summary_mask_BS": summary_mask[rows],
        "stance_B": torch.tensor([n % 3 for n in rows]),
        "asked_B": torch.tensor([n % 3 for n in rows]),
        "article_B": [f"article {n}" for n in rows],
        "reference_B": [f"summary {n}" for n in rows],
        "id_B": [f"id {n}" for n in rows],
        "num_targets": counts(rows),
        "step_targets": counts(list(step) if step is not None else rows),
    }


def test_cross_entropy_is_a_plain_sum_over_the_positions_that_count():
    torch.manual_seed(0)
    logits, token = torch.randn(2, 3, 5), torch.randint(5, (2, 3))
    counts = torch.tensor([[True, True, False], [True, False, False]])
    whole = part = 0.0
    for b in range(2):
        for s in range(3):
            row = logits[b, s].double()
            nats = math.log(sum(math.exp(one) for one in row)) - float(row[token[b, s]])
            whole += nats
            part += nats if counts[b, s] else 0
    assert float(token_loss(logits, token)) == pytest.approx(whole, rel=1e-5)
    assert float(token_loss(logits, token, counts)) == pytest.approx(part, rel=1e-5)


@pytest.fixture
def own_noise(monkeypatch):
    """Each article's noise and step by its tokens, so that they are the same in every batch."""

    def noise(self, token_BS, generators=None):
        rows = [
            torch.randn(
                (S, self.denoiser.vocabulary),
                generator=torch.Generator().manual_seed(hash(tuple(row)) % 2**31),
            )
            for row in token_BS.tolist()
        ]
        return torch.stack(rows)

    current = {}

    def steps(num, num_steps, power, device="cpu"):
        return current["steps"][:num]

    monkeypatch.setattr(Summariser, "noise", noise)
    monkeypatch.setattr(rooms, "draw_steps", steps)
    return current


STEPS = torch.tensor([3, 90, 41, 7, 66, 100, 1, 20])


@pytest.mark.parametrize("learn_padding", [True, False])
@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_step_of_one_batch_is_a_step_of_its_articles_one_at_a_time(
    folder, own_noise, learn_padding, probability
):
    whole = made(
        folder,
        learn_padding=learn_padding,
        self_conditioning=SelfConditioning(probability=probability),
    )
    own_noise["steps"] = STEPS
    loss = whole.training_step(batch(), 0)
    loss.backward()
    expected = [one.grad.clone() for one in whole.parameters()]
    whole.zero_grad()
    for size in (1, 3):
        parts = [range(n, min(n + size, NUM)) for n in range(0, NUM, size)]
        accumulate(whole, len(parts))
        total = 0.0
        for part in parts:
            own_noise["steps"] = STEPS[list(part)]
            share = whole.training_step(batch(part, range(NUM)), 0) / len(parts)  # as Lightning
            share.backward()
            total += share.item()
        assert total == pytest.approx(loss.item(), rel=1e-4)
        for one, grad in zip(whole.parameters(), expected, strict=True):
            torch.testing.assert_close(one.grad, grad, rtol=1e-3, atol=1e-6)
        whole.zero_grad()


@pytest.mark.parametrize("learn_padding", [True, False])
def test_padding_counts_in_the_loss_or_not(folder, own_noise, learn_padding):
    whole = made(folder, learn_padding=learn_padding)
    whole.self_conditioning = SelfConditioning(probability=0)
    own_noise["steps"] = STEPS
    given = batch()
    loss = float(whole.training_step(given, 0))
    token, mask = given["summary_BS"], given["summary_mask_BS"]
    context = whole.denoiser.read(given["article_BC"], given["article_mask_BC"])
    part = whole.part(token, mask, None if learn_padding else mask)
    with torch.no_grad():
        part, logits = whole.predict_tokens(part, whole.noise(token), STEPS, context, False)
    nats = -logits.log_softmax(-1).gather(-1, token[..., None])[..., 0]
    expected = nats.mean() if learn_padding else nats[mask].mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)
    logits = torch.zeros_like(logits, requires_grad=True)
    token_loss(logits, token, part.weight_BK).backward()
    touched = logits.grad.abs().sum(-1) > 0
    assert torch.equal(touched, torch.ones_like(mask) if learn_padding else mask)


def test_several_draws_are_their_mean(folder, own_noise):
    whole = made(folder, noising=Noising(draws=2))
    whole.self_conditioning = SelfConditioning(probability=0)
    own_noise["steps"] = STEPS.repeat_interleave(2)  # the same noise and step twice
    twice = float(whole.training_step(batch(), 0))
    whole.noising = Noising(draws=1)
    own_noise["steps"] = STEPS
    assert twice == pytest.approx(float(whole.training_step(batch(), 0)), rel=1e-5)


def evaluation(whole, sizes):
    with torch.inference_mode():
        whole.on_validation_epoch_start()
        at = 0
        for n, size in enumerate(sizes):
            whole.validation_step(batch(range(at, at + size)), n)
            at += size
    return (whole.evaluation[0] / whole.evaluation[1]).item(), float(whole.evaluation[1])


@pytest.mark.parametrize("learn_padding", [True, False])
def test_the_validation_loss_does_not_depend_on_the_batch_and_does_not_change(
    folder, learn_padding
):
    whole = made(folder, learn_padding=learn_padding, num_drawn=0).eval()
    base, num = evaluation(whole, [8])
    assert num == (NUM * S if learn_padding else int(LENGTHS.sum()))
    for sizes in ([1] * 8, [3, 3, 2], [8], [5, 0, 3]):
        torch.manual_seed(len(sizes))  # other random numbers elsewhere
        found = evaluation(whole, sizes)
        assert found[0] == pytest.approx(base, rel=1e-5)
        assert found[1] == num


def test_validation_sees_its_own_prediction_only_where_training_does(folder):
    calls = []
    whole = made(folder, num_drawn=0).eval()
    whole.denoiser.register_forward_hook(lambda *_: calls.append(1))
    evaluation(whole, [8])
    assert len(calls) == 2
    whole.self_conditioning = SelfConditioning(probability=0)
    evaluation(whole, [8])
    assert len(calls) == 3


def test_a_prediction_that_is_shown_has_no_gradient(folder):
    whole = made(folder)
    seen = []

    class Spy(SelfConditioning):
        def input(self, simplex_BSV, before_BSV):
            seen.append(before_BSV)
            return super().input(simplex_BSV, before_BSV)

    whole.self_conditioning = Spy(probability=1.0)
    whole.training_step(batch(), 0).backward()
    assert seen[0] is None
    assert seen[1] is not None
    assert not seen[1].requires_grad


def test_steps_of_a_batch_are_spread_evenly_from_1_to_the_last():
    torch.manual_seed(0)
    for num in (1, 3, 10):
        found = torch.stack([draw_steps(num, 10, 1.0) for _ in range(500)])
        assert found.min() == 1
        assert found.max() == 10
        if num == 10:
            assert (found.sort(-1).values == torch.arange(1, 11)).all()
        counts = torch.bincount(found.flatten(), minlength=11)[1:] / found.numel()
        assert counts.tolist() == pytest.approx([0.1] * 10, abs=0.06)


def test_a_power_below_one_gives_noisier_steps():
    u = (torch.arange(1000) + 0.5) / 1000
    assert steps_of(u, 100, 1.0).tolist() == [int(100 * float(one)) + 1 for one in u]
    assert steps_of(u, 100, 0.5).float().mean() > steps_of(u, 100, 1.0).float().mean()
    rng = [torch.Generator().manual_seed(n) for n in range(3)]
    whole = own_steps(rng, 100, 1.0)
    alone = own_steps([torch.Generator().manual_seed(1)], 100, 1.0)
    assert whole[1] == alone[0]
    assert own_steps([], 100, 1.0).shape == (0,)


def test_summaries_end_before_padding(folder):
    marks = Marks.of(made(folder).tokenizer)
    assert (marks.start, marks.end, marks.pad) == (0, 2, 1)
