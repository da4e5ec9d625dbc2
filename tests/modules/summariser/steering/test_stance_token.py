"""Networks that are told stances: what they are told, in training by chance, and guidance by it."""

import pytest
import torch

from datamodules.synthetic.newsroom.reader import stance_of
from datamodules.synthetic.newsroom.source import NewsroomArticles
from modules.diffusion.guidance import Guidance
from modules.diffusion.schedule import CosineSchedule
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.steering.guide import Guide
from modules.summariser.steering.stance_token import (
    UNCONDITIONED,
    OpenStanceToken,
    Predictor,
    StanceToken,
)
from tests.fixtures.summarisers import FAMILIES, STANCES, options

V, S, C, NUM = 24, 5, 7, 8
TOLD = torch.tensor([0, 1, 2, 0, UNCONDITIONED, 1, 2, 0])
NOTHING = torch.zeros(NUM, 0, dtype=torch.int64)
"""Of the summaries is written before."""
GUIDE = "assets/newsroom_guide"


def network(family="prefix", listens=True):
    """A small network whose parameters all matter."""
    torch.manual_seed(0)
    if family == "prefix":
        made = PrefixDenoiser(V, S, width=16, depth=2, heads=2, inner=24).eval()
    else:
        made = FromConfig(V, options(family), family).eval()
    with torch.no_grad():
        for one in made.parameters():
            one.add_(0.2 * torch.randn_like(one))
        if listens:
            made.add_stance_embedding(3)
            made.stance_embedding.weight.normal_(generator=torch.Generator().manual_seed(1))
    return made


def articles():
    """Eight articles of unequal lengths, shares and times."""
    torch.manual_seed(1)
    mask = torch.arange(C) < torch.randint(2, C + 1, (NUM, 1))
    share = torch.randn(NUM, S, V).softmax(-1)
    return torch.randint(5, V, (NUM, C)).where(mask, 1), mask, share, torch.linspace(0, 1, NUM)


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_a_network_that_starts_to_listen_computes_what_it_did_whatever_it_is_told(family):
    plain, told = network(family, listens=False), network(family, listens=False)
    assert not any("stance_embedding" in name for name in plain.state_dict())
    told.add_stance_embedding(3)
    article, mask, share, time = articles()
    expected = plain(share, time, plain.read(article, mask))
    assert torch.equal(told(share, time, told.read(article, mask, TOLD)), expected)
    assert torch.equal(told(share, time, told.read(article, mask)), expected)


def test_what_is_told_is_added_to_every_position_of_the_article():
    """In the small network a vector is added there anyway: the one of the segment."""
    told, plain = network(), network(listens=False)
    article, mask, share, time = articles()
    found = told(share, time, told.read(article, mask, TOLD))
    own = plain.segment.weight[0].clone()
    for b, stance in enumerate(TOLD.tolist()):
        with torch.no_grad():
            plain.segment.weight[0] = (
                own + told.stance_embedding.weight[stance if stance >= 0 else 3]
            )
        row = slice(b, b + 1)
        alone = plain(share[row], time[row], plain.read(article[row], mask[row]))
        torch.testing.assert_close(found[row], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_masked_language_model_sees_it_in_the_embeddings_of_the_article_alone(family):
    made, seen = network(family), []
    made.model.base_model.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["inputs_embeds"]), with_kwargs=True
    )
    article, mask, share, time = articles()
    context = made.repeat(made.read(article, mask, TOLD), 2)
    twice = [one.repeat_interleave(2, 0) for one in (share, time)]
    made(*twice, context)
    made(share, time, made.read(article, mask))
    words = made.model.get_input_embeddings().weight
    for b, stance in enumerate(TOLD.tolist()):
        length = int(mask[b].sum())
        for row, place in ((seen[0][2 * b], stance), (seen[0][2 * b + 1], stance), (seen[1][b], 3)):
            expected = (
                words[article[b, :length]]
                + made.stance_embedding.weight[place if place >= 0 else 3]
            )
            torch.testing.assert_close(row[:length], expected)
        behind = slice(length, length + S)
        torch.testing.assert_close(seen[0][2 * b, behind], seen[1][b, behind])


@pytest.mark.parametrize("family", ["prefix", "roberta"])
@pytest.mark.parametrize("scale", [-1.0, 0.5, 3.0])
def test_guided_logits_go_from_the_untold_ones_w_times_the_way(family, scale):
    made, (article, mask, share, time) = network(family), articles()
    predict = Predictor(made, article, mask, TOLD, Guidance(scale), NOTHING)
    found = predict(share, time)
    own = made(share, time, made.read(article, mask, TOLD))
    free = made(share, time, made.read(article, mask, torch.full((NUM,), UNCONDITIONED)))
    expected = free.double() + scale * (own.double() - free.double())
    torch.testing.assert_close(found.guided_BSV.double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.own_BSV, own)
    assert found.num_passes == 2 * NUM
    torch.testing.assert_close(found.guided_BSV[4], free[4])  # it is told nothing


@pytest.mark.parametrize(("scale", "told"), [(1.0, TOLD), (0.0, torch.full((NUM,), UNCONDITIONED))])
def test_one_pass_is_enough_where_only_one_of_both_counts(scale, told):
    made, (article, mask, share, time) = network(), articles()
    found = Predictor(made, article, mask, TOLD, Guidance(scale), NOTHING)(share, time)
    assert torch.equal(found.guided_BSV, made(share, time, made.read(article, mask, told)))
    assert found.num_passes == NUM


def sampler(made, **more):
    how = Generation(num_steps=5, carried=more.pop("carried", "unguided"))
    schedule = CosineSchedule(200, offset=1e-4, max_beta=1.0)
    diffusion = Diffusion(Simplex(), schedule, SelfConditioning(), Marks(0, 2, 1))
    return SummarySampler(made, diffusion, how, S, **more)


def draw(which, rows=range(NUM), told=TOLD):
    article, mask, _, _ = articles()
    rows = list(rows)
    return which.draw(article[rows], mask[rows], told[rows], [f"article {n}" for n in rows])


@pytest.mark.parametrize("carried", ["unguided", "guided"])
def test_batches_of_1_3_and_8_give_equal_summaries_with_guidance_by_what_is_told(carried):
    made, found = network(), []
    for size in (1, 3, 8):
        parts = [range(n, min(n + size, NUM)) for n in range(0, NUM, size)]
        which = [sampler(made, guidance=Guidance(2.5), carried=carried) for _ in parts]
        found.append(torch.cat([draw(a, b) for a, b in zip(which, parts, strict=True)]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    turned = draw(sampler(made, guidance=Guidance(2.5), carried=carried), told=(TOLD + 1) % 3)
    assert not torch.equal(found[0], turned)


def test_both_passes_are_counted_and_a_network_that_is_not_asked_draws_as_without():
    made, plain = network(), network(listens=False)
    guided, told = sampler(made, guidance=Guidance(2.0)), sampler(made, guidance=Guidance(1.0))
    draw(guided), draw(told)
    assert (guided.cost.denoiser, told.cost.denoiser) == (2 * 5 * NUM, 5 * NUM)
    with torch.no_grad():
        made.stance_embedding.weight.zero_()
    untold = draw(sampler(plain))
    assert torch.equal(draw(sampler(made, guidance=Guidance(0.0))), untold)
    assert torch.equal(draw(sampler(made)), untold)


@pytest.fixture(scope="module")
def opened():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("assets/newsroom_words")
    token = StanceToken(Guide(GUIDE))
    return tokenizer, OpenStanceToken(token, token.guide.open(tokenizer, STANCES))


def test_a_summary_is_told_its_own_stance_not_that_of_its_article(opened):
    tokenizer, made = opened
    source = NewsroomArticles(num=60, seed=5)
    rows = [tokenizer(one.summary)["input_ids"] for one in source.articles()]
    marks = made.guide.marks
    rows = [[one for one in row if one not in (marks.start, marks.end)] for row in rows]
    token = torch.full((61, 24), marks.pad)
    for n, row in enumerate(rows):
        token[n, : len(row) + 1] = torch.tensor([*row, marks.end])
    batch = {"summary_BS": token, "summary_mask_BS": token != marks.pad}
    batch["summary_stance_B"] = torch.full((61,), UNCONDITIONED)
    found = made.of_references(batch).tolist()
    own = [STANCES.index(stance_of(one.summary)) for one in source.articles()]
    assert found == [*own, UNCONDITIONED]  # the last has no summary
    of_articles = [STANCES.index(one.stance) for one in source.articles()]
    assert sum(a == b for a, b in zip(own, of_articles, strict=True)) < 45
    some = {name: value[7:9] for name, value in batch.items()}
    some |= {name: some[name][:, :18] for name in ("summary_BS", "summary_mask_BS")}
    assert made.of_references(some).tolist() == found[7:9]


def test_what_the_data_know_is_told_and_only_the_rest_is_read(opened):
    tokenizer, made = opened
    cat = torch.full((3, 4), tokenizer.pad_token_id)
    cat[:2, 0] = 9
    batch = {"summary_BS": cat, "summary_mask_BS": cat != tokenizer.pad_token_id}
    known = torch.tensor([2, UNCONDITIONED, UNCONDITIONED])
    batch["summary_stance_B"] = known
    read = int(made.read(made.guide, batch)[1])
    assert made.of_references(batch).tolist() == [2, read, UNCONDITIONED]
    assert torch.equal(OpenStanceToken(StanceToken(), None).of_references(batch), known)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.1, 0.09, 0.11), (0.0, 0, 0), (0.9, 0.89, 0.91)]
)
def test_that_share_of_examples_is_told_nothing(opened, share, low, high):
    torch.manual_seed(0)
    made = OpenStanceToken(StanceToken(Guide(GUIDE), dropped=share), opened[1].guide)
    stance = torch.arange(30_000) % 3
    found = made.dropped(stance)
    assert low <= float((found == UNCONDITIONED).float().mean()) <= high
    assert torch.equal(found[found != UNCONDITIONED], stance[found != UNCONDITIONED])


def test_odd_options_are_refused():
    for dropped in (-0.5, 1.0):
        with pytest.raises(ValueError, match=r"dropped must lie in \[0, 1\), got"):
            StanceToken(Guide(GUIDE), dropped=dropped)
    with pytest.raises(ValueError, match="which dropped 0 never trains"):
        StanceToken(Guide(GUIDE), dropped=0.0, guidance=Guidance(2.0))
    with pytest.raises(ValueError, match="reads stances: leave out its target"):
        StanceToken(Guide(GUIDE, target="left"))
