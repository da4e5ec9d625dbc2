"""Guides that read what the network itself predicts of the article, or a pair of texts."""

import pytest
import torch
from tokenizers.processors import RobertaProcessing
from torch.nn import functional as F

from modules.diffusion.schedule import CosineSchedule
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from modules.summariser.steering.stance_token import POSITIONS, Predictor
from tests.fixtures.summarisers import FAMILIES, ROBERTA, STANCES, options, save_classifier, words

S, C, NUM = 4, 40, 8
ASKED = torch.tensor([0, 1, 2, 0, -100, 1, 2, 0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A RoBERTa that tells stances."""
    path = tmp_path_factory.mktemp("guide")
    save_classifier(path, words(path, ROBERTA))
    return path


@pytest.fixture(scope="module")
def tokenizer(folder):
    return words(folder, ROBERTA)


def masked(tokenizer, family="roberta"):
    torch.manual_seed(0)
    given = options(family) | {"max_position_embeddings": 64}
    return FromConfig(len(tokenizer) + 3, given, family).eval()  # more rows than tokens


def articles(tokenizer):
    """Eight articles longer than a chunk of positions, and shorter ones."""
    torch.manual_seed(1)
    lengths = torch.tensor([40, 5, 33, 32, 12, 39, 2, 20])
    mask = torch.arange(C) < lengths[:, None]
    article = torch.randint(5, len(tokenizer), (NUM, C)).where(mask, Marks.of(tokenizer).pad)
    return article, mask


def given(tokenizer, network):
    share = torch.randn(NUM, S, network.vocabulary).softmax(-1)
    return share, torch.linspace(0.1, 1, NUM)


def predictor(network, tokenizer):
    none = torch.zeros(NUM, 0, dtype=torch.int64)
    return Predictor(network, *articles(tokenizer), ASKED, None, none, remembers=True)


def whole(network, article, share, time):
    """All logits of one article and its summary, as the model itself computes them."""
    noised = share @ network.share_embedding + network.time(time[None])
    x = torch.cat([network.model.get_input_embeddings()(article), noised])
    return network.model(inputs_embeds=x[None]).logits[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_the_article_are_the_models_own_of_the_same_pass(tokenizer, family):
    network = masked(tokenizer, family)
    predict, (share, time) = predictor(network, tokenizer), given(tokenizer, network)
    article, mask = articles(tokenizer)
    for time_B in (time, 1 - time):  # those of the last pass
        logits = predict(share, time_B).own_BSV
        found = torch.cat(list(predict.article_logits()), 1)
        for b, length in enumerate(mask.sum(1).tolist()):
            both = whole(network, article[b, :length], share[b], time_B[b])
            torch.testing.assert_close(found[b, :length], both[:length], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(logits[b], both[length:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_never_sees_more_positions_than_a_chunk(tokenizer, family):
    network = masked(tokenizer, family)
    predict, seen = predictor(network, tokenizer), []
    inside = {id(one) for one in network.model.base_model.modules()} | {id(network.model)}
    for module in network.model.modules():
        if id(module) not in inside:
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    predict(*given(tokenizer, network))
    assert set(seen) == {S}
    list(predict.article_logits())
    assert set(seen) == {S, POSITIONS, C - POSITIONS}
    whole = network.model(input_ids=torch.randint(5, 9, (1, 9))).logits
    assert whole.shape[1] == 9  # the model is as it was


def test_a_step_is_that_of_a_plain_version_which_holds_everything(folder, tokenizer):
    """The classifier reads all logits softened, and only those of the summary are moved."""
    from transformers import AutoModelForSequenceClassification

    network = masked(tokenizer)
    predict, (share, time) = predictor(network, tokenizer), given(tokenizer, network)
    article, mask = articles(tokenizer)
    logits = predict(share, time).own_BSV
    pad = Marks.of(tokenizer).pad
    logits[..., pad] -= 20  # no padding, which is left out
    guide = Guide(str(folder), sees="predicted")
    how = Steering(Control([guide], strength=7.0), [guide.open(tokenizer, STANCES)])
    moved = how.steer(logits, ASKED, article, mask, predict.article_logits)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval().double()
    weight = F.pad(model.get_input_embeddings().weight.detach(), (0, 0, 0, 3))
    for b, length in enumerate(mask.sum(1).tolist()):
        if ASKED[b] < 0:
            assert torch.equal(moved.logits_BSV[b], logits[b])
            continue
        of_article = whole(network, article[b, :length], share[b], time[b])[:length]
        z = torch.cat([of_article, logits[b]]).detach().double().requires_grad_()
        x = z.softmax(-1) @ weight
        model(inputs_embeds=x[None]).logits.log_softmax(-1)[0, ASKED[b]].backward()
        expected = logits[b] + 7 * z.grad[length:]
        torch.testing.assert_close(moved.logits_BSV[b].double(), expected, rtol=1e-4, atol=1e-4)
        assert float(z.grad[length:].abs().max()) > 1e-4


def sampler(network, folder, tokenizer, sees="predicted"):
    guide = Guide(str(folder), sees=sees)
    how = Steering(Control([guide], strength=300.0), [guide.open(tokenizer, STANCES)])
    return SummarySampler(network, diffusion(tokenizer), Generation(num_steps=3), S, how)


def diffusion(tokenizer):
    schedule = CosineSchedule(200, offset=1e-4, max_beta=1.0)
    return Diffusion(Simplex(), schedule, SelfConditioning(), Marks.of(tokenizer))


def test_batches_of_1_3_and_8_give_equal_summaries(folder, tokenizer):
    network, found = masked(tokenizer), []
    article, mask = articles(tokenizer)
    for size in (1, 3, 8):
        parts = [list(range(n, min(n + size, NUM))) for n in range(0, NUM, size)]
        which = sampler(network, folder, tokenizer)
        names = [f"article {n}" for n in range(NUM)]
        found.append(
            torch.cat(
                [
                    which.draw(article[rows], mask[rows], ASKED[rows], [names[n] for n in rows])
                    for rows in parts
                ]
            )
        )
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    blind = sampler(network, folder, tokenizer, "article_and_summary")
    assert not torch.equal(blind.draw(article, mask, ASKED, names), found[0])


def test_a_network_that_predicts_nothing_of_articles_is_refused(folder, tokenizer):
    network = PrefixDenoiser(len(tokenizer), S, width=16, depth=1, heads=2, inner=24)
    with pytest.raises(ValueError, match="PrefixDenoiser predicts no tokens of articles: let it"):
        sampler(network, folder, tokenizer)


@pytest.fixture
def pairs(tmp_path):
    """A classifier of pairs as FactKB is one: RoBERTa's marks, and its tokenizer elsewhere."""
    tokenizer = words(tmp_path / "roberta", ROBERTA)
    ends = [(one, tokenizer.convert_tokens_to_ids(one)) for one in ("</s>", "<s>")]
    tokenizer._tokenizer.post_processor = RobertaProcessing(*ends, add_prefix_space=False)
    tokenizer.save_pretrained(tmp_path / "roberta")
    (tmp_path / "facts").mkdir()
    model = save_classifier(tmp_path / "both", tokenizer, labels=["wrong", "true"])
    model.save_pretrained(tmp_path / "facts")
    guide = {"classes": ["wrong", "true"], "target": "true", "sees": "summary_and_article"}
    return tmp_path, tokenizer, model, guide


def test_a_pair_is_read_as_the_tokenizer_writes_it(pairs):
    path, tokenizer, model, options = pairs
    guide = Guide(str(path / "facts"), tokenizer=str(path / "roberta"), **options)
    opened = guide.open(tokenizer, STANCES)
    marks = Marks.of(tokenizer)
    summary = [["cat", "sat", "the"], ["dog"]]
    article = [["moon", "ran"], ["hill", "saw", "a", "red", "mat"]]
    token = torch.full((2, 5), marks.pad)
    given = torch.full((2, 7), marks.pad)
    for b in range(2):
        rows = (tokenizer.convert_tokens_to_ids(one) for one in (summary[b], article[b]))
        first, second = ([*row, marks.end] for row in rows)
        token[b, : len(first)] = torch.tensor(first)
        given[b, : len(second) + 1] = torch.tensor([marks.start, *second])
    share = F.one_hot(token, len(tokenizer)).float()
    found = opened.log_p(share, given, given != marks.pad)
    for b in range(2):
        both = tokenizer(" ".join(summary[b]), " ".join(article[b]), return_tensors="pt")
        logits = model(input_ids=both["input_ids"]).logits
        torch.testing.assert_close(found[b], logits.log_softmax(-1)[0], rtol=1e-4, atol=1e-5)
    opened.check_lengths(41, 20)
    with pytest.raises(ValueError, match="reads 62 tokens, but is to read 63"):
        opened.check_lengths(42, 20)


def test_a_classifier_that_tells_texts_apart_by_types_is_refused(pairs):
    path, tokenizer, _, options = pairs
    save_classifier(path / "bert", tokenizer, "bert", ["wrong", "true"])
    with pytest.raises(ValueError, match="tells two texts apart by types of tokens"):
        Guide(str(path / "bert"), **options).open(tokenizer, STANCES)
