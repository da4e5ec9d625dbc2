import numpy as np
import pytest

from modules.metrics.bootstrap import interval
from modules.metrics.misread import (
    Labelled,
    accuracy_of,
    confusions,
    met,
    met_shares,
    resampled,
)

CONFUSION = np.array([[0.85, 0.10, 0.05], [0.08, 0.84, 0.08], [0.02, 0.10, 0.88]])
"""Accuracy 0.857, not alike in the classes."""
GUESSES = np.array([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])
"""A judge that hardly reads at all."""
WANTED = np.array([0.5, 0.3, 0.2])
LABELLED = np.array([0.2, 0.3, 0.5])


def whole(first, second, num_classes=3):
    """Counts of two columns, without resamples."""
    cells = np.asarray(first) * num_classes + np.asarray(second)
    found = np.bincount(cells, minlength=num_classes**2).astype(float)
    return found.reshape(1, num_classes, num_classes)


def drawn(rng, share, num):
    """As many texts in cells of these shares."""
    cells = np.repeat(np.arange(share.size), rng.multinomial(num, share.ravel()))
    return cells, np.arange(num)


def true_shares(kept):
    """Wanted and true classes, of which the wanted one is met with a probability."""
    rows = np.full((3, 3), (1 - kept) / 2)
    np.fill_diagonal(rows, kept)
    return WANTED[:, None] * rows


def test_of_two_classes_the_share_is_rogan_and_gladens():
    """(read + specificity - 1) / (sensitivity + specificity - 1), where all want class 1."""
    label = np.repeat([0, 1], [200, 100])
    read = np.concatenate([np.repeat([0, 1], [180, 20]), np.repeat([0, 1], [30, 70])])
    labelled = whole(label, read, 2)
    judged = whole(np.ones(400, int), np.repeat([0, 1], [160, 240]), 2)
    found = met_shares(judged, labelled)
    sensitivity, specificity, seen = 0.7, 0.9, 0.6
    assert found[0, 1, 1] == pytest.approx(
        (seen - 1 + specificity) / (sensitivity + specificity - 1)
    )
    assert found.sum() == pytest.approx(1)
    assert accuracy_of(labelled)[0] == pytest.approx(250 / 300)


def test_readings_without_chance_give_back_the_true_shares_and_distance():
    true = true_shares(0.8)
    judged, labelled = (100 * true @ CONFUSION)[None], (1000 * LABELLED[:, None] * CONFUSION)[None]
    found = met_shares(judged, labelled)
    np.testing.assert_allclose(found[0], true)
    np.testing.assert_allclose(confusions(labelled)[0], CONFUSION)
    both = met(np.concatenate([found, found]))
    far = sum(true[w, k] * abs(w - k) for w in range(3) for k in range(3))
    assert both.share.value == pytest.approx(0.8)
    assert both.distance.value == pytest.approx(far)


def test_a_perfect_judge_is_not_corrected():
    judged = whole([0, 0, 1, 2, 2], [0, 1, 1, 2, 0])
    np.testing.assert_allclose(met_shares(judged, whole([0, 1, 2], [0, 1, 2])), judged / 5)


def test_shares_beyond_their_range_are_cut():
    labelled = (1000 * LABELLED[:, None] * CONFUSION)[None]
    found = met(np.repeat(met_shares(whole([0, 1, 2], [0, 1, 2]), labelled), 2, axis=0))
    assert (found.share.value, found.share.low, found.share.high) == (1, 1, 1)
    assert (found.distance.value, found.distance.high) == (0, 0)


@pytest.mark.parametrize("kept", [0.6, 0.95])
def test_the_interval_covers_the_true_share_in_95_of_100_simulations(kept):
    rng, hits = np.random.default_rng(0), 0
    for n in range(500):
        judged = resampled(*drawn(rng, true_shares(kept) @ CONFUSION, 250), 9, 250, seed=2 * n)
        labels = resampled(*drawn(rng, LABELLED[:, None] * CONFUSION, 300), 9, 250, seed=2 * n + 1)
        found = met(met_shares(judged.reshape(-1, 3, 3), labels.reshape(-1, 3, 3))).share
        hits += found.low <= kept <= found.high
    assert 0.92 <= hits / 500 <= 0.98


def test_a_judge_that_nearly_guesses_gives_no_figure():
    rng = np.random.default_rng(0)
    judged = resampled(*drawn(rng, true_shares(0.8) @ GUESSES, 300), 9).reshape(-1, 3, 3)
    few = resampled(*drawn(rng, LABELLED[:, None] * GUESSES, 300), 9).reshape(-1, 3, 3)
    many = resampled(*drawn(rng, LABELLED[:, None] * GUESSES, 30_000), 9).reshape(-1, 3, 3)
    assert met_shares(judged, few) is None
    assert met_shares(judged, many) is not None
    assert met_shares(judged, np.ones_like(few)) is None


def test_labels_that_lack_a_class_give_no_figure():
    assert met_shares(whole([0, 1, 2], [0, 1, 2]), whole([0, 1, 1], [0, 1, 2])) is None


def test_resamples_are_those_of_groups_drawn_one_by_one():
    """Mean and covariance of the counts against plain draws with replacement."""
    rng, num = np.random.default_rng(0), 20_000
    cells = np.array([0, 0, 1, 2, 2, 2, 1, 0])
    groups = np.array([0, 0, 1, 2, 2, 3, 4, 5])
    found = resampled(cells, groups, 3, num)
    assert found[0].tolist() == [3, 2, 3]
    assert found.shape == (1 + num, 3)
    held = np.array([[np.sum(cells[groups == g] == c) for c in range(3)] for g in range(6)])
    plain = held[rng.integers(6, size=(num, 6))].sum(1)
    np.testing.assert_allclose(found[1:].mean(0), plain.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(found[1:].T), np.cov(plain.T), atol=0.12)


def test_labelled_texts_of_one_group_are_drawn_together():
    """Two texts a group of which one is misread: no resample has another accuracy."""
    label, read = np.tile([0, 1], 50), np.tile([0, 0], 50)
    apart = Labelled(label, read, np.arange(100)).counts(2)
    joined = Labelled(label, read, np.repeat(np.arange(50), 2)).counts(2)
    assert interval(accuracy_of(joined)).high == 0.5
    assert interval(accuracy_of(apart)).high > 0.55
