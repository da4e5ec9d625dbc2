import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from modules.metrics.classification import accuracy, auroc, true_positive_rate
from tests.fixtures.simulated_scores import resample


def some(num=60, seed=0, digits=1):
    """Probabilities with many ties, labels, and resamples of clusters."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(num) % 2)
    p = np.clip(0.3 * label + rng.random(num), 0, 1).round(digits)
    return p, label, resample(rng.integers(0, num // 3, num), 20)


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_and_auroc_are_those_of_scikit_learn_on_every_resample(seed):
    p, label, weight = some(seed=seed)
    for row, right, area in zip(
        weight, accuracy(p, label, weight), auroc(p, label, weight), strict=True
    ):
        assert right == pytest.approx(accuracy_score(label, p >= 0.5, sample_weight=row))
        assert area == pytest.approx(roc_auc_score(label, p, sample_weight=row))


@pytest.mark.parametrize("most", [0.01, 0.1, 0.5])
def test_the_true_positive_rate_is_read_off_the_curve_of_scikit_learn(most):
    p, label, weight = some(80, digits=2)
    for row, rate in zip(weight, true_positive_rate(p, label, weight, most), strict=True):
        passed, caught, _ = roc_curve(label, p, sample_weight=row, drop_intermediate=False)
        assert rate == pytest.approx(caught[passed <= most + 1e-12].max())


def test_auroc_is_the_share_of_pairs_won_and_ties_count_half():
    p, label = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0, 0, 1, 1])
    pairs = [(a > b) + (a == b) / 2 for a in p[label == 1] for b in p[label == 0]]
    assert auroc(p, label, np.ones((1, 4), np.float32))[0] == np.mean(pairs)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=30))
def test_auroc_of_the_opposite_is_one_minus_auroc(rows):
    p, label = (np.array(column) for column in zip(*rows, strict=True))
    weight = np.ones((1, len(p)), np.float32)
    first, second = auroc(p, label, weight)[0], auroc(p, 1 - label, weight)[0]
    if len(set(label.tolist())) < 2:
        assert np.isnan(first)
    else:
        assert first + second == pytest.approx(1)


def test_one_class_only_leaves_auroc_and_the_true_positive_rate_undefined():
    p, weight = np.array([0.2, 0.8]), np.ones((1, 2), np.float32)
    assert np.isnan(auroc(p, np.array([1, 1]), weight)[0])
    assert np.isnan(true_positive_rate(p, np.array([1, 1]), weight)[0])
    assert accuracy(p, np.array([1, 1]), weight)[0] == 0.5


@pytest.mark.parametrize("num", [100, 200, 300, 700])
def test_exactly_as_many_human_texts_pass_as_the_rate_allows(num):
    score = np.arange(2.0 * num)
    label = np.tile([0, 1], num)  # the k-th highest machine text scores above k human ones
    for percent in range(1, 60):
        rate = true_positive_rate(score, label, np.ones((1, 2 * num), np.float32), percent / 100)
        assert rate[0] == pytest.approx((percent * num // 100 + 1) / num)
