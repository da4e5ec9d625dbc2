"""What titles of real news are compared with."""

from types import SimpleNamespace

from benchmarks.claims.p3sum.news import COMPARED, FREE, Titles
from benchmarks.claims.p3sum.rates import Rates


def test_ways_before_the_unguided_one_are_compared_with_nothing():
    titles = Titles(SimpleNamespace(), SimpleNamespace(), [])
    titles.found["written by people"] = Rates({"judge_kept": [1.0]})
    assert titles.gains("written by people") == {}
    titles.found[FREE] = Rates({key: [0.0, 1.0] for key in COMPARED})
    titles.found["steered"] = Rates({key: [1.0, 1.0] for key in COMPARED})
    assert {one.median for one in titles.gains(FREE).values()} == {0}
    assert titles.gains("steered")["judge_kept"].median == 50
