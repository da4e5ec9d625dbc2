"""Blocks in training: which one is noised, what it sees, and what its loss is averaged over."""

import math
from types import SimpleNamespace

import pytest
import torch

from modules.summariser import system as rooms
from modules.summariser.blocks import Part, in_blocks, spans
from modules.summariser.generate import Generation
from modules.summariser.network.prefix import PrefixDenoiser, rotated
from modules.summariser.processes.simplex import SelfConditioning
from modules.summariser.processes.times import Noising
from modules.summariser.system import Summariser
from tests.fixtures.summarisers import ROBERTA, words
from tests.fixtures.summary_blocks import (
    ARTICLE,
    MASK,
    PROCESSES,
    SCHEDULES,
    SUMMARY,
    S,
    V,
    network,
)


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


def test_positions_in_blocks_are_those_up_to_the_block_that_ends_a_summary():
    mask = torch.arange(S) < torch.tensor([[5], [2], [0], [6], [3]])
    assert in_blocks(mask, 2).sum(1).tolist() == [6, 2, 2, 6, 4]
    assert in_blocks(mask, 3).sum(1).tolist() == [6, 3, 3, 6, 3]
    assert in_blocks(mask, 1).sum(1).tolist() == [5, 2, 1, 6, 3]
    assert in_blocks(mask, None).all()


@pytest.mark.parametrize("learn_padding", [True, False])
def test_a_loss_is_averaged_over_the_positions_that_are_ever_noised(
    folder, monkeypatch, learn_padding
):
    """Of two summaries of 5 and 3 tokens, 6 positions and 4 are in blocks of 2."""
    whole = made(folder, "simplex", block_size=2, learn_padding=learn_padding, num_drawn=0)
    counts = {"articles": 2, "tokens": 8, "positions": 12, "positions_2": 10, "positions_3": 9}
    monkeypatch.setattr(Summariser, "training_loss", lambda self, batch: torch.tensor(40.0))
    monkeypatch.setattr(Summariser, "step_mean", lambda self, total, num: total / num)
    found = whole.training_step(batch() | {"num_targets": counts, "step_targets": counts}, 0)
    num = 10 if learn_padding else 8
    assert found == 40 / num
    monkeypatch.setattr(rooms, "token_loss", lambda *_: torch.tensor(40.0))
    with torch.inference_mode():
        whole.evaluation = torch.zeros(2)
        whole.eval().add_loss(batch())
    assert whole.evaluation.tolist() == [40, num]


def test_spans_cover_a_summary_in_order_and_nothing_may_be_left_over(folder):
    assert spans(6, 2) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert spans(6, None) == [slice(0, 6)]
    with pytest.raises(ValueError, match="summary_length 6 is no multiple of block_size 4"):
        made(folder, "simplex", block_size=4).summaries(S)


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
    together = net(share, time, net.extended(context, SUMMARY, written))
    for b in range(2):
        row, own = slice(b, b + 1), SUMMARY[b : b + 1, : start[b]]
        before = net.extended(net.read(ARTICLE[row], MASK[row]), own, torch.ones_like(own).bool())
        alone = net(share[row], time[row], before)
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)
    behind = SUMMARY.where(written, 5)
    assert torch.equal(net(share, time, net.extended(context, behind, written)), together)
    for s in range(2):
        other = SUMMARY.clone()
        other[:, s] = 17
        changed = net(share, time, net.extended(context, other, written))
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
            context = whole.denoiser.extended(context, SUMMARY[row], part.written_BS)
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
