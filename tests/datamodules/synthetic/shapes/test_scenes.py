from collections import Counter

import pytest

from datamodules.synthetic.shapes.scenes import (
    COLOURS,
    FORMS,
    GAP,
    HELD_OUT,
    JITTER,
    PAIRS,
    PLACES,
    RADII,
    SEEN,
    SHADES,
    SIDE,
    place_of,
    scene,
)

SCENES = {
    part: [scene(0, index, part) for index in range(3000)] for part in ("train", "held_out", "all")
}
EVERY = [drawn for drawns in SCENES.values() for drawn in drawns]


def pairs_of(part):
    return {(shape.colour, shape.form) for drawn in SCENES[part] for shape in drawn.shapes}


def test_a_scene_is_the_same_each_time():
    assert scene(3, 5) == scene(3, 5)
    drawn = [scene(3, 5), scene(3, 6), scene(4, 5), scene(3, 5, "held_out"), scene(3, 5, "all")]
    assert len(set(drawn)) == 5


def test_a_fifth_is_held_out_and_every_colour_and_form_is_seen_apart():
    assert len(HELD_OUT) * 5 == len(PAIRS)
    assert {*HELD_OUT} | {*SEEN} == {*PAIRS}
    assert not {*HELD_OUT} & {*SEEN}
    assert Counter(colour for colour, _ in HELD_OUT) == dict.fromkeys(COLOURS, 1)
    assert max(Counter(form for _, form in HELD_OUT).values()) == 2
    assert {form for _, form in HELD_OUT} == {*FORMS}


def test_training_shows_all_the_other_pairs_and_never_these():
    assert pairs_of("train") == {*SEEN}


def test_a_held_out_scene_has_one_held_out_shape_in_either_order():
    assert pairs_of("held_out") == {*PAIRS}
    shapes = [drawn.shapes for drawn in SCENES["held_out"]]
    flags = [[(one.colour, one.form) in HELD_OUT for one in drawn] for drawn in shapes]
    assert all(sum(flag) == 1 for flag in flags)
    first = [flag[0] for flag in flags if len(flag) == 2]
    assert 0.4 < sum(first) / len(first) < 0.6


def test_all_pairs_are_equally_likely_where_all_may_occur():
    drawn = [(shape.colour, shape.form) for s in SCENES["all"] for shape in s.shapes]
    counts = Counter(drawn)
    mean = len(drawn) / len(PAIRS)
    assert {*counts} == {*PAIRS}
    assert all(abs(count - mean) < 5 * mean**0.5 for count in counts.values())


def test_shapes_lie_inside_the_image_and_at_their_positions():
    for drawn in EVERY:
        for shape, (x, y) in zip(drawn.shapes, drawn.centres, strict=True):
            radius = RADII[shape.size]
            assert radius <= x <= SIDE - radius
            assert radius <= y <= SIDE - radius
            assert place_of(x, y) == shape.place
            middle = PLACES[shape.place]
            assert max(abs(x - middle[0]), abs(y - middle[1])) <= JITTER


def test_two_shapes_never_touch_and_differ_in_colour():
    for drawn in EVERY:
        if len(drawn.shapes) == 2:
            first, second = drawn.shapes
            (x, y), (u, v) = drawn.centres
            free = max(abs(x - u), abs(y - v)) - RADII[first.size] - RADII[second.size]
            assert free >= GAP - 1e-9
            assert first.colour != second.colour


def test_every_position_size_shade_and_count_occurs():
    for drawns in SCENES.values():
        two = [drawn for drawn in drawns if len(drawn.shapes) == 2]
        assert 0.45 < len(two) / len(drawns) < 0.55
        for some in (two, [drawn for drawn in drawns if len(drawn.shapes) == 1]):
            assert {shape.place for drawn in some for shape in drawn.shapes} == {*PLACES}
            assert {shape.size for drawn in some for shape in drawn.shapes} == {*RADII}
            assert {drawn.shade for drawn in some} == {*SHADES}


@pytest.mark.parametrize("number", [1, 2])
def test_the_number_of_shapes_can_be_asked_for(number):
    assert all(len(scene(0, i, "held_out", number).shapes) == number for i in range(50))


def test_an_unknown_part_and_three_shapes_are_refused():
    with pytest.raises(ValueError, match=r"part must be one of train, held_out, all, got 'test'"):
        scene(0, 0, "test")
    with pytest.raises(ValueError, match=r"num_shapes must be 1, 2 or None, got 3"):
        scene(0, 0, num_shapes=3)
