"""When a difference on real news counts as found."""

from types import SimpleNamespace

import pytest

from benchmarks.bench.harness import Bench
from benchmarks.claims.p3sum.news import FREE, Titles, compared, points


def rows(before, after):
    """The rows of what steering changes, of titles whose stance is kept or not."""
    bench = Bench("claims.p3sum.news", quick=False)
    compared(bench, {"judge_kept": points(before, after), "rouge_1": points(before, after)})
    return bench.rows


def test_a_gain_of_three_articles_in_a_hundred_is_chance_and_meets_no_goal():
    before = [1.0] * 40 + [0.0] * 60
    after = [0.0] * 20 + [1.0] * 43 + [0.0] * 37
    kept, _ = rows(before, after)
    assert kept.peer == pytest.approx(3)
    assert kept.value < 0
    assert not kept.met


def test_a_gain_of_every_second_article_is_found():
    kept, _ = rows([0.0] * 100, [0.0, 1.0] * 50)
    assert 35 < kept.value < kept.peer == 50
    assert kept.met


def test_a_difference_is_paired_by_article():
    half = [0.0, 1.0] * 50
    same = points(half, half)
    assert same.low == same.median == same.high == 0


def test_a_loss_meets_its_bound_only_where_the_upper_end_does():
    _, lost = rows([0.5, 0.1] * 50, [0.1, 0.495] * 50)
    assert lost.peer < 1 < lost.value
    assert not lost.met


def test_ways_before_the_unguided_one_are_compared_with_nothing():
    titles = Titles(SimpleNamespace(), SimpleNamespace(), [])
    titles.scores["written by people"] = {"judge_kept": [1.0]}
    assert titles.gains("written by people") == {}
    titles.scores[FREE] = {key: [0.0, 1.0] for key in ("judge_kept", "guide_kept", "rouge_1")}
    titles.scores[FREE]["rouge_l"] = [0.0, 1.0]
    assert titles.gains(FREE)["judge_kept"].median == 0
