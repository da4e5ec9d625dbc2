"""Articles on which summarisers are compared, and when a difference counts as found."""

from types import SimpleNamespace

import pytest

from benchmarks.bench.harness import Bench
from benchmarks.claims.p3sum.rates import Claims, Rates, ahead, lost
from datamodules.articles.datamodule import ArticleData
from datamodules.synthetic.newsroom.source import NewsroomArticles


def test_few_articles_for_a_choice_leave_the_test_whole(tmp_path):
    parts = enumerate(("validate", "test"))
    sources = {part: [NewsroomArticles(num=7, seed=n)] for n, part in parts}
    data = ArticleData("assets/newsroom_words", cache=str(tmp_path), **sources)
    built = SimpleNamespace(datamodule=data)
    claims = Claims(SimpleNamespace(quick=False, details={}))
    assert len(claims.articles(built, "validate", 2)["id_B"]) == 2
    assert len(claims.articles(built)["id_B"]) == 7


def points(before, after):
    return Rates({"kept": after}).points(Rates({"kept": before}), "kept")


def row(judge, before, after, *bound):
    """The row of a difference between two ways to write about the same articles."""
    bench = Bench("claims.p3sum")
    judge(bench, 1, "kept", points(before, after), *bound)
    return bench.rows[0]


def test_rates_are_means_over_articles_beside_what_is_none():
    found = Rates({"kept": [1.0, 0.0, 0.5], "read": []}, gigaflops=2.0)
    assert found == {"kept": 0.5, "gigaflops": 2.0}


def test_a_gain_of_three_articles_in_a_hundred_is_chance_and_meets_no_goal():
    before = [1.0] * 40 + [0.0] * 60
    after = [0.0] * 20 + [1.0] * 43 + [0.0] * 37
    found = row(ahead, before, after)
    assert found.peer == pytest.approx(3)
    assert found.value < 0
    assert not found.met


def test_no_difference_meets_no_goal():
    assert not row(ahead, [0.0, 1.0] * 50, [0.0, 1.0] * 50).met


def test_a_gain_of_every_second_article_is_found():
    found = row(ahead, [0.0] * 100, [0.0, 1.0] * 50, 30.0)
    assert 35 < found.value < found.peer == 50
    assert found.met


def test_a_difference_is_paired_by_article():
    same = points([0.0, 1.0] * 50, [0.0, 1.0] * 50)
    assert same.low == same.median == same.high == 0


def test_a_loss_meets_its_bound_only_where_the_upper_end_does():
    found = row(lost, [0.5, 0.1] * 50, [0.1, 0.495] * 50, 1.0)
    assert found.peer < 1 < found.value
    assert not found.met
    assert row(lost, [0.5] * 100, [0.495] * 100, 1.0).met
