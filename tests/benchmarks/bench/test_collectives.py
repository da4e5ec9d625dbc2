from types import SimpleNamespace

import pytest

from benchmarks.bench.collectives import minimum, sent_in


def event(name, *shapes, dtype="float"):
    return SimpleNamespace(name=name, input_shapes=list(shapes), input_dtypes=[dtype] * len(shapes))


def test_a_ring_that_reduces_all_sends_the_least():
    sent = sent_in([event("gloo:all_reduce", [10, 10]), event("aten::mul", [5])], world=4)
    assert sent.ring_bytes(4) == pytest.approx(minimum(400, 4)) == 600


def test_a_part_that_is_gathered_counts_as_often_as_there_are_ranks():
    sent = sent_in([event("gloo:all_gather", [25])], world=4)
    assert sent.ring_bytes(4) == 300


def test_what_gloo_scatters_by_reducing_all_counts_as_half_of_it():
    asked = event("c10d::_reduce_scatter_base_", [25], [100])
    sent = sent_in([asked, event("gloo:all_reduce", [100])], world=4)
    assert sent.ring_bytes(4) == 300
    assert sent.calls == {"reduce_scatter": 1, "all_reduce": 0}


def test_wider_elements_count_as_wide_as_they_are():
    assert sent_in([event("gloo:broadcast", [8], dtype="double")], world=2).ring_bytes(2) == 32
