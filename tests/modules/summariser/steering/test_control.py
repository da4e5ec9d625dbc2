"""Steps of control against plain automatic differentiation, one summary at a time."""

import pytest
import torch
from torch import Tensor

from modules.summariser.marks import Marks
from modules.summariser.steering.guide import Guide
from tests.fixtures.steering import ASKED, LENGTH, NUM, steer, steering
from tests.fixtures.summarisers import STANCES


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
