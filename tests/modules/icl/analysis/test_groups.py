import numpy as np
import pytest

from modules.icl.analysis.groups import Difference, Groups


def test_random_groups_are_as_large_and_come_again_and_hold_no_document_twice():
    groups = Groups.of([3, 7, 1], 10, num=8, seed=5)
    assert groups.random_SK.shape == (8, 3)
    assert all(len(set(one)) == 3 for one in groups.random_SK.tolist())
    assert (groups.random_SK[:4] == Groups.of([3, 7, 1], 10, num=4, seed=5).random_SK).all()
    assert (groups.random_SK != Groups.of([3, 7, 1], 10, num=8, seed=6).random_SK).any()


def test_a_difference_of_means_equals_a_loop_over_groups():
    value, weight = np.random.default_rng(0).normal(size=(2, 50))
    weight = 1 + weight**2
    value[[2, 9]] = np.nan, np.inf
    groups = Groups.of([2, 4, 30, 31], 50)

    def mean(places):
        known = [i for i in places if np.isfinite(value[i])]
        return sum(weight[i] * value[i] for i in known) / sum(weight[i] for i in known)

    found = groups.difference_of_means(value, weight)
    assert found.supportive == pytest.approx(mean([4, 30, 31]))
    assert found.random_S == pytest.approx([mean(one) for one in groups.random_SK.tolist()])
    assert found.left_out == 1
    assert found.by_seed == pytest.approx(found.supportive - np.array(found.random_S))


def test_the_interval_over_seeds_is_that_of_the_mean_and_the_other_that_of_a_group():
    random = np.random.default_rng(0).normal(2, 1, 400)
    found = Difference(3.0, tuple(random))
    seeds, group = found.over_seeds(), found.of_one_group()
    assert seeds.value == group.value == pytest.approx(3 - random.mean())
    error = 1.96 * random.std() / 20
    assert (seeds.low, seeds.high) == pytest.approx((1 - error, 1 + error), abs=0.06)
    assert (group.low, group.high) == pytest.approx((1 - 1.96, 1 + 1.96), abs=0.15)
    assert not found.differs


def test_a_random_group_in_place_of_the_supportive_one_differs_in_five_of_a_hundred():
    drawn = np.random.default_rng(0).normal(size=(1000, 33))
    found = [Difference(row[0], tuple(row[1:])) for row in drawn]
    assert np.mean([one.differs for one in found]) == pytest.approx(0.05, abs=0.02)
    seeds = [one.over_seeds() for one in found[:100]]
    assert np.mean([one.low > 0 or one.high < 0 for one in seeds]) > 0.6


def test_planted_documents_differ():
    value = np.random.default_rng(0).normal(size=200)
    value[:20] += 2
    assert Groups.of(range(20), 200).difference_of_means(value).differs


def test_groups_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="at least 2 random groups, got 1"):
        Groups.of([0], 5, num=1)
    with pytest.raises(ValueError, match="none or repeat, got 2"):
        Groups.of([1, 1], 5)
    with pytest.raises(ValueError, match="none or repeat, got 0"):
        Groups.of([], 5)
    with pytest.raises(ValueError, match="document -1 is not in the pool of 5 documents"):
        Groups.of([-1, 2], 5)
    with pytest.raises(ValueError, match="a group of 2 documents has none with a value"):
        Groups.of([0, 1], 9).difference_of_means(np.array([np.nan] * 2 + [1.0] * 7))
