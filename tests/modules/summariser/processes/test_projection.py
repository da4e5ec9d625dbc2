"""Nuclei against a plain loop over a full sort, and the frequencies of what is drawn from them."""

import numpy as np
import pytest
import torch

from modules.nn.generators import generator_of
from modules.summariser.processes.projection import (
    FIRST,
    Greedy,
    MultiHot,
    TopP,
    are_in_nucleus,
    nucleus,
)

PAPER = 50_265
"""RoBERTa's vocabulary."""


def plain_nucleus(logits, p):
    """Ids of the fewest tokens that reach p: the likelier first, the lower id among equals."""
    values = logits.double().numpy()
    share = np.exp(values - values.max())
    share /= share.sum()
    order = np.lexsort((np.arange(len(values)), -values))
    kept, total = [], 0.0
    for v in order:
        if p < 1 and total >= p:
            break
        kept.append(int(v))
        total += share[v]
    return kept, share


def made(kind, num, size):
    torch.manual_seed(size)
    if kind == "random":
        return 3 * torch.randn(num, size)
    if kind == "flat":
        return 1e-3 * torch.randn(num, size)
    if kind == "peaked":
        return torch.randn(num, size).index_fill(1, torch.tensor([size // 2]), 30.0)
    if kind == "tied":
        return torch.randint(-2, 3, (num, size)).float()
    return (3 * torch.randn(num, size)).bfloat16()  # bf16: few values, so many ties


@pytest.mark.parametrize("kind", ["random", "flat", "peaked", "tied", "bf16"])
@pytest.mark.parametrize("p", [0.3, 0.95])
def test_a_token_is_known_to_be_in_the_nucleus_without_sorting(kind, p):
    logits = made(kind, 1, 300)
    kept, _ = plain_nucleus(logits[0], p)
    rows = logits.float().expand(300, -1)
    found = are_in_nucleus(rows, torch.arange(300), p)
    assert found.nonzero()[:, 0].tolist() == sorted(kept)


@pytest.mark.parametrize("size", [5, FIRST, FIRST + 1, 1000, PAPER])
@pytest.mark.parametrize("kind", ["random", "flat", "peaked", "tied", "bf16"])
def test_the_nucleus_is_the_fewest_most_likely_tokens(kind, size):
    logits = made(kind, 2, size)
    for p in (0.5, 0.9501) if size == PAPER else (1e-6, 0.5, 0.9501):
        id_BSM, share_BSM = nucleus(logits[None], p)
        for row in range(2):
            expected, share = plain_nucleus(logits[row], p)
            is_in = share_BSM[0, row] > 0
            found = id_BSM[0, row][is_in].tolist()
            assert abs(len(found) - len(expected)) <= (0 if size < PAPER else 2)
            both = min(len(found), len(expected))  # at 50,265 rounding may move its end
            assert found[:both] == expected[:both]
            np.testing.assert_allclose(share_BSM[0, row][is_in], share[found], rtol=1e-4)


@pytest.mark.parametrize("kind", ["flat", "peaked", "random"])
@pytest.mark.parametrize("size", [5, PAPER])
def test_all_of_the_probability_is_all_tokens(kind, size):
    logits = made(kind, 3, size)[None]
    hot = MultiHot(1.0).project(logits, [generator_of(0)])
    assert hot.is_hot_BSM is not None
    assert hot.is_hot_BSM.sum(-1).tolist() == [[size] * 3]
    assert hot.id_BSM.sort(-1).values.eq(torch.arange(size)).all()


@pytest.mark.parametrize("kind", ["spread", "tied"])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.8, 0.95, 1.0])  # below 0.5 many draws are not kept
def test_frequencies_of_draws_are_the_probabilities_within_the_nucleus(p, kind):
    torch.manual_seed(0)
    row, num = 1.5 * torch.randn(12), 20_000
    row = row.round() if kind == "tied" else row
    drawn = TopP(p).project(row.expand(4, num // 4, 12), [generator_of(0, n) for n in range(4)])
    kept, share = plain_nucleus(row, p)
    counts = torch.bincount(drawn.id_BSM.flatten(), minlength=12).numpy()
    assert counts.sum() == num
    assert set(np.flatnonzero(counts)) == set(kept)
    expected = share[kept] / share[kept].sum()
    error = np.sqrt(expected * (1 - expected) / num)
    assert (np.abs(counts[kept] / num - expected) <= 4 * error).all()


def test_many_seeds_draw_each_token_as_often_as_many_positions_do():
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(1, 1, 3)
    drawn = [int(TopP(1.0).project(logits, [generator_of(n)]).id_BSM) for n in range(3000)]
    counts = np.bincount(drawn, minlength=3) / 3000
    assert counts == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


@pytest.mark.parametrize("kind", ["random", "tied", "bf16"])
@pytest.mark.parametrize("projection", [TopP(0.9), MultiHot(0.9), TopP(0.3)])
def test_tokens_of_a_summary_do_not_depend_on_its_batch(kind, projection):
    narrow = made(kind, 4, 3000)[None]
    narrow[..., :3] += 12  # three equal or nearly equal tokens ahead
    narrow[..., 3:9] = narrow.amin()  # ties beyond
    wide = made("flat", 4, 3000)[None].to(narrow.dtype)
    alone = projection.project(narrow, [generator_of(7)])
    both = projection.project(torch.cat([wide, narrow]), [generator_of(3), generator_of(7)])
    for s in range(4):
        assert hot_ids(alone, 0, s) == hot_ids(both, 1, s)


def hot_ids(tokens, b, s):
    ids = tokens.id_BSM[b, s]
    return (ids if tokens.is_hot_BSM is None else ids[tokens.is_hot_BSM[b, s]]).tolist()


def test_a_nucleus_of_equals_has_the_lowest_ids_whatever_the_batch():
    tied = torch.zeros(1, 1, 2000)
    tied[..., 500:900] = 20.0  # 400 equals share all of the probability
    peaked = torch.zeros(1, 1, 2000).index_fill(2, torch.tensor([3]), 50.0)
    for logits in (tied, torch.cat([tied, peaked]), torch.cat([tied, torch.zeros(1, 1, 2000)])):
        id_BSM, share_BSM = nucleus(logits, 0.099)
        assert id_BSM[0, 0][share_BSM[0, 0] > 0].tolist() == list(range(500, 540))


def test_one_token_takes_all_where_it_alone_reaches_p():
    logits = made("peaked", 3, 100)[None]
    assert nucleus(logits, 0.95)[0].tolist() == [[[50], [50], [50]]]
    assert TopP(0.95).project(logits, [generator_of(0)]).id_BSM.tolist() == [[[50], [50], [50]]]


def test_greedy_takes_the_most_likely_token():
    logits = made("random", 6, 40).view(2, 3, 40)
    found = Greedy().project(logits, [])
    assert torch.equal(found.id_BSM[..., 0], logits.argmax(-1))
    assert found.is_hot_BSM is None


@pytest.mark.parametrize("projection", [TopP(), MultiHot(), Greedy()])
def test_no_summaries_project_onto_no_tokens(projection):
    assert len(projection.project(torch.zeros(0, 3, 10), []).id_BSM) == 0


@pytest.mark.parametrize("kind", [TopP, MultiHot])
@pytest.mark.parametrize("p", [0.0, -0.1, 1.1])
def test_a_p_that_is_no_probability_is_refused(kind, p):
    with pytest.raises(ValueError, match=rf"p must lie in \(0, 1\], got {p}"):
        kind(p)
