from random import Random

import numpy as np
import pytest

from benchmarks.claims.lmfusion.read_back import (
    captions,
    chance,
    compare,
    held_out,
    is_right,
    mean,
    nearest,
)
from datamodules.synthetic.shapes.captions import caption, parse
from datamodules.synthetic.shapes.recognise import agreement
from datamodules.synthetic.shapes.render import render
from datamodules.synthetic.shapes.scenes import HELD_OUT, scene


@pytest.mark.parametrize("num_shapes", [1, 2])
def test_scenes_are_held_out_and_captions_say_what_they_show(num_shapes):
    scenes = held_out(num_shapes, 50)
    for shown, text in zip(scenes, captions(scenes), strict=True):
        assert len(shown.shapes) == num_shapes
        assert sum((shape.colour, shape.form) in HELD_OUT for shape in shown.shapes) == 1
        assert {*parse(text)} == {*shown.shapes}


def test_true_images_are_all_right_and_empty_ones_all_wrong():
    scenes = held_out(1, 20)
    assert compare(scenes, [render(shown) for shown in scenes])["all"] == 1
    empty = compare(scenes, [np.zeros((32, 32, 3), np.uint8)] * 20)
    assert {*empty.values()} == {0.0}


def test_a_description_is_right_in_any_wording_and_order_and_wrong_in_any_word():
    (shown,) = held_out(2, 1)
    for seed in range(10):
        assert is_right(shown, caption(shown, Random(seed)))
    (other,) = held_out(2, 2)[1:]
    assert not is_right(shown, caption(other, Random(0)))
    assert not is_right(shown, "a large red")


@pytest.mark.parametrize("num_shapes", [1, 2])
def test_the_nearest_training_image_is_that_of_a_search_through_all(num_shapes):
    scenes, pool = held_out(num_shapes, 12), [scene(0, index) for index in range(60)]
    candidates = [other for other in pool if len(other.shapes) == num_shapes]

    def num_right(shown, other):
        rates = agreement(shown.shapes, other.shapes)
        return sum(rates[name] for name in ("colour", "form", "size", "place"))

    best = [max(num_right(shown, other) for other in candidates) for shown in scenes]
    rates = nearest(scenes, pool)
    total = sum(rates[name] for name in ("colour", "form", "size", "place"))
    assert total == pytest.approx(np.mean(best))
    assert rates["all"] == 0  # a held-out pair is never among them
    pairs = zip(scenes, candidates, strict=False)
    assert chance(scenes, pool) == mean([agreement(a.shapes, b.shapes) for a, b in pairs])
