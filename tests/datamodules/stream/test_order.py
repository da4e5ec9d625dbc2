"""The order of a mixture, and the shares of its sources."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.stream.order import Mixture, apportion


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0.01, 10)), min_size=1, max_size=4))
def test_a_mixture_goes_through_each_source_before_it_repeats_one(sources):
    sizes, weights = zip(*sources, strict=True)
    order = Mixture(sizes, weights, seed=3)
    ids = order.items(0, 5 * sum(sizes))
    bounds = np.cumsum([0, *sizes])
    for i, size in enumerate(sizes):
        own = ids[(ids >= bounds[i]) & (ids < bounds[i + 1])]
        assert len(own) == 5 * order.draws[i]
        for turn in range(len(own) // size):
            assert len(set(own[turn * size : (turn + 1) * size].tolist())) == size


def test_a_mixture_can_be_entered_anywhere():
    whole = Mixture([7, 4], [1.0, 2.0]).items(0, 60).tolist()
    for start in range(0, 60, 7):
        assert Mixture([7, 4], [1.0, 2.0]).items(start, 60).tolist() == whole[start:]


def test_shares_of_the_largest_weights_are_found_and_infinite_ones_refused():
    assert apportion(10, [1e308, 1e308]) == [5, 5]
    assert apportion(10, [1e-300, 1e300]) == [1, 9]
    for weight in (float("inf"), float("nan"), 0.0, -1.0):
        with pytest.raises(ValueError, match="weights must be above 0 and finite"):
            apportion(10, [1.0, weight])


@given(st.integers(5, 1000), st.lists(st.floats(0.001, 100), min_size=1, max_size=5))
def test_shares_sum_up_and_follow_the_weights(total, weights):
    counts = apportion(total, weights)
    assert sum(counts) == total
    assert min(counts) >= 1
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= len(weights)
