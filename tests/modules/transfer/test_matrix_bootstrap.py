import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.metrics.bootstrap import Resamples, interval, part_by_part
from modules.metrics.classification import accuracy, auroc
from modules.transfer.matrix import measured
from tests.fixtures.simulated_scores import GENERATORS, detector, resample, texts


def test_the_first_row_is_the_texts_themselves_and_every_other_one_draws_whole_clusters():
    cluster = np.array(["a", "b", "a", "c", "b", "a"])
    weight = resample(cluster, 50, seed=3)
    assert weight.shape == (51, 6)
    assert (weight[0] == 1).all()
    assert (weight[:, 0] == weight[:, 2]).all()
    assert (weight[:, 0] == weight[:, 5]).all()
    assert (weight[:, [0, 1, 3]].sum(1) == 3).all()  # as many clusters as there are


def test_the_same_seed_draws_the_same():
    cluster = np.arange(20)
    assert (resample(cluster, 5, 1) == resample(cluster, 5, 1)).all()
    assert (resample(cluster, 5, 1) != resample(cluster, 5, 2)).any()


def test_the_interval_is_that_of_a_plain_loop_over_resamples():
    rng = np.random.default_rng(0)
    right, cluster = rng.random(40) < 0.7, rng.integers(0, 9, 40)
    weight = resample(cluster, 200)
    estimate = interval(accuracy(right.astype(float), np.ones(40, int), weight))
    means = []
    for row in weight[1:]:
        drawn = [r for r, times in zip(right, row, strict=True) for _ in range(int(times))]
        means.append(np.mean(drawn))
    assert estimate.value == right.mean()
    assert estimate.low == pytest.approx(np.quantile(means, 0.025))
    assert estimate.high == pytest.approx(np.quantile(means, 0.975))


def simulate(rng, num_clusters=80, size=4):
    """Two detectors' right answers; texts of a cluster are hard or easy together."""
    hard = rng.normal(0, 1, num_clusters).repeat(size)
    lines = [hard + rng.normal(0, 1, num_clusters * size) < at for at in (0.9, 0.5)]
    return lines[0], lines[1], np.arange(num_clusters).repeat(size)


def test_the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    large = simulate(rng, 200_000)
    truth = large[0].mean() - large[1].mean()
    clustered, single = 0, 0
    num = 400
    for _ in range(num):
        first, second, cluster = simulate(rng)
        for is_clustered in (True, False):
            names = cluster if is_clustered else np.arange(len(cluster))
            label = np.ones(len(cluster), int)
            weight = resample(names, 300, int(rng.integers(1 << 30)))
            rates = [accuracy(line.astype(float), label, weight) for line in (first, second)]
            estimate = interval(rates[0] - rates[1])
            covers = estimate.low <= truth <= estimate.high
            clustered += covers and is_clustered
            single += covers and not is_clustered
    assert 0.92 <= clustered / num <= 0.98
    assert single <= clustered


def test_texts_of_one_human_text_count_as_one_where_all_say_the_same():
    rng = np.random.default_rng(1)
    right = (rng.random(60) < 0.6).repeat(5).astype(float)
    label = np.ones(300, int)
    by_text = interval(accuracy(right, label, resample(np.arange(300))))
    by_human = interval(accuracy(right, label, resample(np.arange(60).repeat(5))))
    wider = (by_human.high - by_human.low) / (by_text.high - by_text.low)
    assert wider == pytest.approx(5**0.5, rel=0.1)


def test_a_detector_minus_itself_has_no_width():
    right = (np.random.default_rng(0).random(30) < 0.5).astype(float)
    rate = accuracy(right, np.ones(30, int), resample(np.arange(30)))
    assert interval(rate - rate) == interval(np.zeros(3))


def test_one_human_text_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 human texts, got 1"):
        resample(np.array(["a", "a"]))


def test_undefined_resamples_are_left_out_and_an_undefined_quantity_is_refused():
    assert interval(np.array([0.5, np.nan, 0.4, 0.6])).high <= 0.6
    with pytest.raises(ValueError, match="a class is missing"):
        interval(np.array([np.nan, 0.5]))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_weights_are_never_negative_and_keep_the_number_of_clusters(num, seed):
    weight = resample(np.arange(num), 10, seed)
    assert (weight >= 0).all()
    assert (weight.sum(1) == num).all()


@pytest.mark.parametrize("largest", [1, 100, 999, 10**9])
def test_a_few_resamples_at_a_time_give_what_all_give_at_once(largest):
    on = texts(20)
    detectors = {
        "one": [detector(on, 1.0, seed) for seed in range(2)],
        "other": [detector(on, 0.3)],
    }
    few = Resamples(on.pair_id, 60, seed=4, largest=largest)
    sizes = [part.size for part in few.parts()]
    assert max(sizes) <= max(largest, len(on))
    whole = resample(on.pair_id, 60, seed=4)
    for rate in (accuracy, auroc):
        at_once = measured(detectors, rate, whole, GENERATORS).quantity_DGR
        assert np.array_equal(measured(detectors, rate, few, GENERATORS).quantity_DGR, at_once)
    assert np.array_equal(part_by_part(few, lambda weight: weight.T), whole.T)
