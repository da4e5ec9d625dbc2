"""Stance experts and the picture of the frontier."""

import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.claims.p3sum.picture import draw, overlap, points
from benchmarks.claims.p3sum.rivals.causal import CausalSummariser, left
from benchmarks.claims.p3sum.rivals.experts import StanceExperts, chosen
from modules.summariser.marks import Marks
from modules.summariser.steering.guide import Guide
from modules.summariser.steering.stance_token import OpenStanceToken, StanceToken
from tests.fixtures.summarisers import STANCES

GUIDE, WORDS = "assets/newsroom_guide", "assets/newsroom_words"
NUM, C, S = 7, 9, 6
ASKED = torch.tensor([2, 0, 1, 1, 0, 2, 2])


@pytest.fixture(scope="module")
def experts():
    """A base, three experts and an anti-expert of random weights that differ."""
    tokenizer = AutoTokenizer.from_pretrained(WORDS)
    token = StanceToken(Guide(GUIDE))
    made = StanceExperts(OpenStanceToken(token, token.guide.open(tokenizer, STANCES)), 3)
    made.models = [CausalSummariser(tokenizer, Marks.of(tokenizer)) for _ in range(5)]
    torch.manual_seed(0)
    for one in made.models:
        one.model.eval()
        with torch.no_grad():
            for weight in one.model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return made


@pytest.fixture(scope="module")
def batch(experts):
    torch.manual_seed(1)
    tokenizer = experts.models[0].tokenizer
    mask = torch.arange(C) < torch.tensor([9, 4, 7, 2, 5, 8, 3])[:, None]
    article = torch.randint(8, len(tokenizer), (NUM, C)).where(mask, tokenizer.pad_token_id)
    summary = torch.randint(8, len(tokenizer), (NUM, S))
    full = torch.ones_like(summary).bool()
    names = "article_BC", "article_mask_BC", "summary_BS", "summary_mask_BS"
    known = {"summary_stance_B": torch.full((NUM,), -100)}
    return known | dict(zip(names, (article, mask, summary, full), strict=True))


def plain(experts, batch, row, stance, alpha):
    """The text of one article, without batch and cache: base + alpha (expert - anti-expert)."""
    base, expert, anti = (experts.models[n] for n in (0, 1 + stance, 4))
    token = batch["article_BC"][row][batch["article_mask_BC"][row]].tolist()
    new = []
    while len(new) < S and base.marks.end not in new:
        given = torch.tensor([[*token, *new]])
        with torch.no_grad():
            a, b, c = (one.model(given).logits[0, -1].double() for one in (base, expert, anti))
        new.append(int((a + alpha * (b - c)).argmax()))
    return base.marks.text(base.tokenizer, new)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_each_summary_is_that_of_its_own_stances_expert_against_the_anti_expert(
    experts, batch, alpha
):
    texts, cost = experts.draw(batch, ASKED, None, alpha)
    assert texts == [plain(experts, batch, n, k, alpha) for n, k in enumerate(ASKED.tolist())]
    assert len(set(texts)) > 3
    assert cost > 0


def test_experts_are_tuned_on_summaries_of_their_own_stance(experts, batch):
    read = experts.token.of_references(batch)
    for stance in range(3):
        found = experts.of(stance, batch)
        assert torch.equal(found["summary_BS"], batch["summary_BS"][read == stance])
    assert experts.of(None, batch) is batch


def test_articles_that_are_chosen_have_no_more_padding_than_they_need(batch):
    found = chosen(batch, torch.tensor([False, True, False, True, False, False, True]))
    assert torch.equal(found["article_BC"], batch["article_BC"][[1, 3, 6], :4])
    token, mask = left(found["article_BC"], found["article_mask_BC"])
    assert mask[1].tolist() == [False, False, True, True]
    assert torch.equal(token[1, 2:], found["article_BC"][1, :2])


def rates(facts, kept, gigaflops):
    return {"facts": facts, "kept": kept, "gigaflops": gigaflops}


def test_every_point_of_the_frontier_is_in_its_panel():
    frontier = {
        "unguided": rates(0.99, 0.6, 1.0),
        "lambda 30": rates(0.98, 0.9, 1.4),
        "stance token, w 2": rates(0.98, 0.95, 2.0),
        "stance token, w 2, lambda 300": rates(0.97, 0.99, 2.5),
        "other stance, stance experts, alpha 1, greedy": rates(0.9, 0.8, 0.1),
        "first two sentences": rates(0.7, 0.9, 0.0),
    }
    own, other = points(frontier, False), points(frontier, True)
    assert [(one.kind, one.name) for one in own] == [
        ("unguided", ""),
        ("lambda ", "30"),
        ("stance token, w ", "2"),
        ("stance token and classifier, ", "2, 300"),
    ]
    [expert] = other
    assert (expert.name, expert.facts) == ("1, greedy", 0.9)
    assert own[3].radius > own[1].radius > own[0].radius > expert.radius
    picture = draw(frontier)
    assert picture.width > picture.height > 500
    assert len(set(picture.getdata())) > 20


def test_boxes_that_touch_nowhere_do_not_overlap():
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3))
    assert not overlap((0, 0, 2, 2), (2, 0, 3, 2))
    assert not overlap((0, 0, 2, 2), (0, 3, 2, 4))
