"""Steps of control against plain automatic differentiation, one summary at a time."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from modules.summariser.marks import Marks
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from tests.fixtures.summarisers import BERT, ROBERTA, STANCES, save_classifier, words

NUM, LENGTH = 4, 5
ASKED = torch.tensor([0, 2, 1, 2])
LONG = 7
"""Positions of the articles."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A RoBERTa that tells stances."""
    path = tmp_path_factory.mktemp("guide")
    save_classifier(path, words(path, ROBERTA))
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A BERT of the same words that tells facts."""
    path = tmp_path_factory.mktemp("facts")
    save_classifier(path, words(path, BERT), "bert", ["wrong", "true"])
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return words(tmp_path_factory.mktemp("ours"), ROBERTA)


@pytest.fixture(scope="module")
def case(tokenizer):
    """Logits whose last positions are padding, by another number in each, and padded articles."""
    torch.manual_seed(0)
    pad = Marks.of(tokenizer).pad
    logits = 2 * torch.randn(NUM, LENGTH, len(tokenizer))
    logits[..., [pad, Marks.of(tokenizer).end]] = -9  # no text ends but by its padding
    lengths = [5, 3, 4, 1]
    for b, length in enumerate(lengths):
        logits[b, length:, pad] = 9
    article = torch.randint(5, len(tokenizer), (NUM, LONG))
    article[:, 0] = Marks.of(tokenizer).start
    mask = torch.arange(LONG) < torch.tensor([7, 2, 5, 6])[:, None]
    return logits, lengths, article.where(mask, pad), mask


def steering(tokenizer, *guides, **options):
    control = Control(list(guides), **options)
    return Steering(control, [one.open(tokenizer, STANCES) for one in guides])


def steer(how, case, asked=ASKED, rows=slice(None)):
    logits, _, article, mask = case
    return how.steer(logits[rows], asked[rows], article[rows], mask[rows])


def reference(model, logits, before, length, target, index=None, margin=False):
    """Gradient of log p(target) of one summary: the classifier on its own, without any padding."""
    z = logits.clone().requires_grad_()
    weight = model.get_input_embeddings().weight.detach()
    rows = weight if index is None else weight[index]
    x = torch.cat([before, z.softmax(-1)[:length] @ rows])
    log_p = model(inputs_embeds=x[None]).logits.log_softmax(-1)[0]
    score = log_p[target]
    if margin:
        score = score - max(log_p[k] for k in range(len(log_p)) if k != target)
    score.backward()
    return z.grad


def model_of(path):
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(path).eval()


@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
@pytest.mark.parametrize("objective", ["log_probability", "margin"])
def test_a_step_is_lambda_times_the_gradient_of_each_summary_alone(
    folder, tokenizer, case, sees, objective
):
    logits, lengths, article, mask = case
    guide = Guide(str(folder), sees=sees)
    moved = steer(steering(tokenizer, guide, strength=7.0, objective=objective), case)
    model = model_of(folder)
    weight = model.get_input_embeddings().weight.detach()
    for b in range(NUM):
        tokens = article[b][mask[b]] if sees == "article_and_summary" else article[b][:1]
        rise = reference(
            model, logits[b], weight[tokens], lengths[b], ASKED[b], margin=objective == "margin"
        )
        assert float(rise.abs().max()) > 1e-4
        expected = logits[b] + 7 * rise
        torch.testing.assert_close(moved.logits_BSV[b], expected, rtol=1e-4, atol=1e-5)
    assert moved.is_moved_B.all()
    assert not moved.is_broken_B.any()
    assert moved.num_passes == NUM


@pytest.mark.parametrize("options", [{"strength": 50.0}, {"divergence": 0.05}])
@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
def test_a_step_does_not_depend_on_the_batch(folder, tokenizer, case, options, sees):
    how = steering(tokenizer, Guide(str(folder), sees=sees), **options)
    whole = steer(how, case).logits_BSV
    for rows in (slice(1, 2), slice(0, 2), slice(2, 4)):
        part = steer(how, case, rows=rows).logits_BSV
        torch.testing.assert_close(part, whole[rows], rtol=1e-5, atol=1e-5)


def test_a_step_does_not_depend_on_padding(folder, tokenizer, case):
    logits, lengths, article, mask = case
    how = steering(tokenizer, Guide(str(folder), sees="article_and_summary"), strength=50.0)
    base = steer(how, case).logits_BSV
    wide = torch.cat([article, torch.full((NUM, 9), 6)], 1)
    wide_mask = torch.cat([mask, torch.zeros(NUM, 9, dtype=torch.bool)], 1)
    pads = torch.zeros(NUM, 3, logits.shape[-1])
    pads[..., Marks.of(tokenizer).pad] = 9
    longer = how.steer(torch.cat([logits, pads], 1), ASKED, wide, wide_mask).logits_BSV
    torch.testing.assert_close(longer[:, :LENGTH], base, rtol=1e-5, atol=1e-5)
    assert torch.equal(longer[:, LENGTH:], pads)
    for b, length in enumerate(lengths):
        assert torch.equal(base[b, length:], logits[b, length:])


def test_the_authors_batch_mean_is_a_share_of_it(folder, tokenizer, case):
    guide = Guide(str(folder))
    own = steer(steering(tokenizer, guide, strength=20.0), case).logits_BSV
    mean = steer(steering(tokenizer, guide, strength=20.0, batch_mean=True), case).logits_BSV
    torch.testing.assert_close(mean - case[0], (own - case[0]) / NUM, rtol=1e-3, atol=1e-5)


def test_a_strength_of_zero_changes_no_bit(folder, tokenizer, case):
    guide = Guide(str(folder))
    assert torch.equal(steer(steering(tokenizer, guide, strength=0), case).logits_BSV, case[0])
    assert not Control([guide], strength=0).is_on
    assert not Control([guide], divergence=0.0).is_on
    assert not Control([]).is_on


@pytest.mark.parametrize("objective", ["log_probability", "margin"])
@pytest.mark.parametrize("options", [{"strength": 50.0}, {"divergence": 0.1}])
def test_a_summary_of_which_nothing_is_asked_is_left_alone(
    folder, tokenizer, case, options, objective
):
    how = steering(tokenizer, Guide(str(folder)), objective=objective, **options)
    some = steer(how, case, torch.tensor([0, -100, 1, -100]))
    assert torch.equal(some.logits_BSV[1::2], case[0][1::2])
    assert some.is_moved_B.tolist() == [True, False, True, False]
    whole = steer(how, case).logits_BSV
    torch.testing.assert_close(some.logits_BSV[::2], whole[::2], rtol=1e-5, atol=1e-5)


def read(folder, tokenizer, case):
    """Stance of each summary as the guide reads it."""
    opened = Guide(str(folder)).open(tokenizer, STANCES)
    return opened.log_p(case[0].softmax(-1), *case[2:]).argmax(-1)


def test_summaries_that_are_read_as_wanted_may_be_left_alone(folder, tokenizer, case):
    right = read(folder, tokenizer, case)
    asked = torch.stack([right[0], (right[1] + 1) % 3, right[2], (right[3] + 2) % 3])
    how = steering(tokenizer, Guide(str(folder)), strength=9.0, only_while_wrong=True)
    moved = steer(how, case, asked)
    assert moved.is_moved_B.tolist() == [False, True, False, True]
    assert torch.equal(moved.logits_BSV[::2], case[0][::2])
    always = steer(steering(tokenizer, Guide(str(folder)), strength=9.0), case, asked)
    assert torch.equal(moved.logits_BSV[1::2], always.logits_BSV[1::2])


def test_with_several_guides_all_must_read_what_is_wanted(folder, other, tokenizer, case):
    right = read(folder, tokenizer, case)
    facts = Guide(str(other), classes=["wrong", "true"], target="true")
    is_true = facts.open(tokenizer, STANCES).log_p(case[0].softmax(-1), *case[2:]).argmax(-1) == 1
    how = steering(tokenizer, Guide(str(folder)), facts, only_while_wrong=True)
    assert steer(how, case, right).is_moved_B.tolist() == (~is_true).tolist()
    how = steering(tokenizer, facts, only_while_wrong=True)
    unknown = torch.full_like(ASKED, -100)
    assert steer(how, case, unknown).is_moved_B.tolist() == (~is_true).tolist()


def test_scores_of_several_guides_add_by_their_weights(folder, other, tokenizer, case):
    logits, lengths, article, _ = case
    guides = [
        Guide(str(folder), weight=0.5),
        Guide(str(other), weight=2.0, classes=["wrong", "true"], target="true"),
    ]
    moved = steer(steering(tokenizer, *guides, strength=3.0), case)
    assert moved.num_passes == 2 * NUM
    first, second = model_of(folder), model_of(other)
    index = guides[1].open(tokenizer, STANCES).index_V
    starts = [m.get_input_embeddings().weight.detach() for m in (first, second)]
    for b in range(NUM):
        before = starts[0][article[b, :1]], starts[1][index[article[b, :1]]]
        a = reference(first, logits[b], before[0], lengths[b], ASKED[b])
        c = reference(second, logits[b], before[1], lengths[b], 1, index)
        expected = logits[b] + 3 * (0.5 * a + 2 * c)
        torch.testing.assert_close(moved.logits_BSV[b], expected, rtol=1e-4, atol=1e-5)


def test_a_guide_with_its_own_target_steers_summaries_of_which_no_stance_is_asked(
    other, tokenizer, case
):
    facts = Guide(str(other), classes=["wrong", "true"], target="true")
    moved = steer(steering(tokenizer, facts), case, torch.full_like(ASKED, -100))
    assert moved.is_moved_B.all()
    assert not torch.equal(moved.logits_BSV, case[0])


def test_steered_logits_have_the_divergence_that_was_asked_for(folder, tokenizer, case):
    after = (
        steer(steering(tokenizer, Guide(str(folder)), divergence=0.02), case)
        .logits_BSV.double()
        .log_softmax(-1)
    )
    found = (after.exp() * (after - case[0].double().log_softmax(-1))).sum(-1).mean(-1)
    assert found.tolist() == pytest.approx([0.02] * NUM, rel=0.01)


@pytest.mark.parametrize("options", [{"strength": 50.0}, {"divergence": 0.02}])
def test_what_is_written_before_is_read_but_neither_moved_nor_counted(
    folder, tokenizer, case, options
):
    """By lambda a block moves as it would at the end of a whole summary of sure tokens."""
    logits, _, article, mask = case
    how = steering(tokenizer, Guide(str(folder)), **options)
    written = torch.randint(5, logits.shape[-1], (NUM, 9))
    moved = how.steer(logits, ASKED, article, mask, None, written).logits_BSV
    if "divergence" in options:
        after = moved.double().log_softmax(-1)
        found = (after.exp() * (after - logits.double().log_softmax(-1))).sum(-1).mean(-1)
        assert found.tolist() == pytest.approx([0.02] * NUM, rel=0.01)
        return
    sure = torch.full((NUM, 9, logits.shape[-1]), -1e4).scatter(-1, written[..., None], 0.0)
    whole = how.steer(torch.cat([sure, logits], 1), ASKED, article, mask).logits_BSV
    torch.testing.assert_close(moved, whole[:, 9:])
    assert not torch.allclose(moved, steer(how, case).logits_BSV)


@dataclass
class Broken:
    """A guide whose gradient is not finite for one summary."""

    row: int
    value: float
    guide: Guide = field(default_factory=lambda: Guide("broken"))

    def targets(self, asked_B: Tensor) -> Tensor:
        return asked_B

    def log_p(self, share_BSV: Tensor, article_BC: Tensor, mask_BC: Tensor) -> Tensor:
        factor = torch.ones(len(share_BSV)).index_fill(0, torch.tensor([self.row]), self.value)
        return (share_BSV[:, 0, 5:8] * factor[:, None]).log_softmax(-1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("options", [{"strength": 5.0}, {"divergence": 0.05}])
def test_a_gradient_that_is_not_finite_leaves_that_summary_unguided_and_is_counted(
    case, value, options
):
    control = Control([Guide("broken")], **options)
    moved = steer(Steering(control, [Broken(1, value)]), case)
    assert moved.is_broken_B.tolist() == [False, True, False, False]
    assert moved.is_moved_B.tolist() == [True, False, True, True]
    assert torch.equal(moved.logits_BSV[1], case[0][1])
    sound = steer(Steering(control, [Broken(1, 1.0)]), case)
    for b in (0, 2, 3):
        assert torch.equal(moved.logits_BSV[b], sound.logits_BSV[b])


def test_a_summary_of_which_nothing_is_asked_does_not_count_as_broken(case):
    control = Control([Guide("broken")])
    asked = torch.tensor([0, -100, 1, 2])
    moved = steer(Steering(control, [Broken(1, torch.nan)]), case, asked)
    assert not moved.is_broken_B.any()


def test_steering_works_in_evaluations_where_gradients_are_off(folder, tokenizer, case):
    how = steering(tokenizer, Guide(str(folder)), strength=9.0)
    expected = steer(how, case).logits_BSV
    with torch.no_grad():
        assert torch.equal(steer(how, case).logits_BSV, expected)
    with torch.inference_mode():
        inside = tuple(one.clone() if isinstance(one, Tensor) else one for one in case)
        asked = ASKED.clone()
        assert torch.equal(steer(how, inside, asked).logits_BSV, expected)


@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
def test_a_guide_that_is_opened_in_an_evaluation_has_gradients(folder, tokenizer, case, sees):
    guide = Guide(str(folder), sees=sees)
    expected = steer(steering(tokenizer, guide, strength=9.0), case).logits_BSV
    with torch.inference_mode():
        inside = tuple(one.clone() if isinstance(one, Tensor) else one for one in case)
        how = steering(tokenizer, guide, strength=9.0)
        assert torch.equal(steer(how, inside, ASKED.clone()).logits_BSV, expected)
        moved = how.guides[0].to(torch.device("meta"))
        assert not any(one.is_inference() for one in moved.network.parameters())


def test_steps_are_guided_by_number_and_time():
    guide = Guide("any")
    control = Control([guide], every=3, window=(0.2, 0.8))
    due = [(n, t) for n in range(7) for t in (0.1, 0.2, 0.5, 0.8, 0.9) if control.is_due(n, t)]
    assert due == [(n, t) for n in (0, 3, 6) for t in (0.2, 0.5, 0.8)]
    assert not Control([guide], strength=0).is_due(0, 0.5)


IMPOSSIBLE = [{"strength": -1.0}, {"divergence": -0.1}, {"every": 0}, {"window": (0.5, 0.2)}]
IMPOSSIBLE.append({"divergence": 0.1, "batch_mean": True})


@pytest.mark.parametrize("options", IMPOSSIBLE)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        Control([], **options)
