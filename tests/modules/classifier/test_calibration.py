"""Measures, temperatures and thresholds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.classifier.calibration import (
    RIDGE,
    Calibration,
    densities,
    fit_logistic,
    fit_temperature,
    threshold_of,
)
from modules.classifier.evaluate import (
    evaluate,
)
from tests.fixtures.classifier_logits import drawn

sklearn = pytest.importorskip("sklearn")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 8.0), st.sampled_from([2, 4]))
def test_the_temperature_has_the_least_loss_of_a_fine_grid(seed, wrong, classes):
    logits, label = drawn(400, classes, seed)
    logits = wrong * logits
    best = fit_temperature(logits, label)
    doubt = 1 / 402
    wanted = (1 - doubt) * F.one_hot(label, classes) + doubt / (classes - 1) * (
        1 - F.one_hot(label, classes)
    )
    loss = F.cross_entropy(logits / best, wanted)
    for other in np.geomspace(0.05, 20, 300):
        assert loss <= F.cross_entropy(logits / other, wanted) + 1e-9


def test_drawn_labels_need_the_temperature_that_undoes_the_scale():
    logits, label = drawn(20_000, 2, 0)
    assert fit_temperature(3 * logits, label) == pytest.approx(3, rel=0.05)


def test_texts_told_apart_by_all_logits_stay_finite():
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0]])
    p = torch.sigmoid(torch.tensor(9 / fit_temperature(logits, torch.tensor([1, 0]))))
    assert p.item() == pytest.approx(3 / 4)
    a, b = fit_logistic(torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]))
    assert 0 < a < 100
    assert b == pytest.approx(0, abs=1e-9)


def test_two_classes_are_calibrated_by_slope_and_offset_and_more_by_a_temperature():
    logits, label = drawn(5000, 2, 0)
    moved = 3 * logits + torch.tensor([0.0, 6.0])
    calibration = Calibration.of(moved, label, 0.05)
    assert calibration.temperature == pytest.approx(3, rel=0.1)
    assert calibration.offset == pytest.approx(-2, abs=0.15)
    p = calibration.calibrated(moved).softmax(1)[:, 1]
    assert calibration.num_negative == (label == 0).sum()
    rate = (p[label == 0] >= calibration.threshold).double().mean().item()
    assert rate == pytest.approx(calibration.false_positive_rate)
    assert 0.045 < rate <= 0.05
    logits, label = drawn(5000, 3, 0)
    three = Calibration.of(2 * logits, label, 0.05)
    assert three == Calibration(fit_temperature(2 * logits, label))
    assert torch.allclose(three.calibrated(logits), logits / three.temperature)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([40, 300]), st.floats(30, 1000))
def test_scores_far_from_zero_are_ranked_as_they_are(seed, num, scale):
    from sklearn import metrics

    logits, label = drawn(num, 2, seed)
    odds = scale * (logits[:, 1] - logits[:, 0] + 3)  # nearly all probabilities are 1
    far = torch.stack([torch.zeros_like(odds), odds], dim=1)
    values, y = evaluate(far, label, 0.01), label.numpy()
    assert values["auroc"] == pytest.approx(metrics.roc_auc_score(y, odds.numpy()), abs=1e-6)
    passed, caught, _ = metrics.roc_curve(y, odds.numpy(), drop_intermediate=False)
    assert values["tpr_at_1_fpr"] == pytest.approx(caught[passed <= 0.01 + 1e-9].max(), abs=1e-6)
    calibration = Calibration(temperature=1e-3, offset=1.0)
    threshold, share = threshold_of(calibration.odds(far[label == 0]), 0.05)
    at = replace(calibration, threshold_odds=threshold)
    assert at.calls(far)[label == 0].double().mean() == pytest.approx(share)
    assert share <= 0.05


def test_far_logits_of_more_classes_are_ranked_as_they_are():
    from sklearn import metrics

    logits, label = drawn(300, 3, 1)
    y = label.numpy()
    wanted = np.mean(
        [
            metrics.roc_auc_score(y == c, logits[:, c] - np.logaddexp(*logits[:, others].T))
            for c, others in enumerate(([1, 2], [0, 2], [0, 1]))
        ]
    )
    assert evaluate(logits, label, 0.01)["auroc"] == pytest.approx(wanted, abs=1e-6)
    far = evaluate(1e4 * logits, label, 0.01)["auroc"]
    best = np.mean(
        [
            metrics.roc_auc_score(y == c, (logits[:, c] - logits[:, others].amax(1)).numpy())
            for c, others in enumerate(([1, 2], [0, 2], [0, 1]))
        ]
    )
    assert far == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_is_measured_or_calibrated_of_scores_that_are_not_finite(bad, classes):
    logits, label = drawn(30, classes, 0)
    logits[7, 1] = bad
    for what in (evaluate, Calibration.of):
        with pytest.raises(ValueError, match=r"1 of 30 texts have no finite score.*: 7\."):
            what(logits, label, 0.1)


def test_the_cuts_of_one_text_count_as_one_text_in_rate_and_number_alike():
    odds = torch.tensor([9.0, 8.0, 7.0, 6.0, *range(6)])  # four cuts of one text, six of others
    logits = torch.stack([torch.zeros(10), odds], dim=1).double()
    both = torch.cat([logits, logits + torch.tensor([0.0, 20.0])])
    label = torch.tensor([0] * 10 + [1] * 10)
    whose = ["a"] * 4 + list("bcdefg") + ["machine"] * 10
    calibration = Calibration.of(both, label, 0.15, whose)
    assert calibration.num_negative == 7
    assert calibration.false_positive_rate == pytest.approx(1 / 7)  # four cuts of one text
    assert calibration.calls(logits).tolist() == [True] * 4 + [False] * 6
    assert Calibration.of(both, label, 0.15).num_negative == 10


def test_texts_of_one_class_decide_no_threshold():
    assert Calibration.of(torch.randn(5, 2), torch.ones(5).long(), 0.01).threshold == 0.5


@pytest.mark.parametrize(("center", "scale"), [(5, 3), (0, 1e-3), (-400, 50)])
def test_no_other_slope_and_offset_have_a_lower_penalised_loss(center, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 500)
    label = (rng.random(500) < 1 / (1 + np.exp(1 - 2 * x))).astype(int)
    score = center + scale * x
    a, b = fit_logistic(torch.from_numpy(score), torch.from_numpy(label))
    deviation = score.std(ddof=1)
    error = 1 / (1 + np.exp(-(a * score + b))) - label  # of which these sums are the gradient
    standard = (score - score.mean()) / deviation
    assert error.sum() == pytest.approx(0, abs=1e-5)
    assert (error * standard).sum() + RIDGE * 500 * a * deviation == pytest.approx(0, abs=1e-5)


def test_scores_that_tell_the_reverse_are_not_turned_round():
    a, b = fit_logistic(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1, 1, 0, 0]))
    assert 0 < a < 1e-5
    assert torch.sigmoid(torch.tensor(a * 2.5 + b)).item() == pytest.approx(0.5, abs=1e-4)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=300), st.sampled_from([0.01, 0.05, 0.2, 0.5])
)
def test_no_threshold_with_so_few_false_alarms_is_lower(levels, rate):
    p = torch.tensor(levels, dtype=torch.float64) / 21
    threshold, rate_reached = threshold_of(p, rate)
    assert rate_reached == pytest.approx((p >= threshold).double().mean().item())
    assert rate_reached <= rate + 1e-12
    lower = p[p < threshold]
    if len(lower):
        assert (p >= lower.max()).double().mean() > rate


def test_densities_hold_nearly_all_texts():
    low, high = densities(torch.linspace(0.2, 0.4, 1001))
    assert 0.1 < low < 0.2
    assert 0.4 < high < 0.5
