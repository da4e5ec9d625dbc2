from math import pi

import numpy as np
import pytest

from datamodules.synthetic.shapes.render import cover, render
from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, RADII, SIDE, Scene, Shape, scene

FINE = 8
"""Points of the plain version along a side of a pixel."""
AREAS = {
    "circle": pi,
    "square": 4,
    "triangle": 2,
    "cross": 8 * 0.36 - 4 * 0.36**2,
    "ring": pi * (1 - 0.5**2),
}
"""Of radius 1."""


def is_inside(form, x, y):
    """Whether a point belongs to a form of radius 1, in the words of school."""
    if max(abs(x), abs(y)) > 1:
        return False
    if form == "square":
        return True
    if form == "triangle":
        return abs(x) <= (y + 1) / 2
    if form == "cross":
        return abs(x) <= 0.36 or abs(y) <= 0.36
    return (0.25 if form == "ring" else 0) <= x**2 + y**2 <= 1


def counted_cover(form, radius, x, y):
    """Share of the points of each pixel that lie inside, point by point."""
    points = (np.arange(SIDE * FINE) + 0.5) / FINE
    inside = [[is_inside(form, (u - x) / radius, (v - y) / radius) for u in points] for v in points]
    return np.array(inside, float).reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("radius", RADII.values())
def test_cover_is_what_counting_points_gives_but_for_soft_corners(form, radius):
    drawn = cover(form, radius, 15.7, 16.2)
    difference = drawn - counted_cover(form, radius, 15.7, 16.2)
    assert abs(difference).mean() < 0.004
    assert abs(difference).max() < 0.35
    assert drawn.sum() == pytest.approx(AREAS[form] * radius**2, rel=0.07)


@pytest.mark.parametrize("form", FORMS)
def test_moving_a_shape_by_whole_pixels_moves_its_image(form):
    there = cover(form, 5.75, 10.3 + 7, 9.8 + 4)
    assert np.allclose(there, np.roll(cover(form, 5.75, 10.3, 9.8), (4, 7), (0, 1)), atol=1e-5)


def test_inside_is_the_colour_outside_the_shade_and_between_a_mixture():
    shape = Shape("purple", "square", "large", "centre")
    image = render(Scene((shape,), ((16.0, 16.0),), 40))
    assert image.dtype == np.uint8
    assert image.shape == (SIDE, SIDE, 3)
    assert (image[12:20, 12:20] == COLOURS["purple"]).all()
    assert (image[:10] == 40).all()
    edge = image[10, 16]  # the square begins at 10.25: three quarters of this pixel
    assert edge.tolist() == [round(40 + 0.75 * (value - 40)) for value in COLOURS["purple"]]


def test_an_image_shows_all_its_shapes_in_any_order():
    for index in range(20):
        drawn = scene(0, index, "all", 2)
        turned = Scene(drawn.shapes[::-1], drawn.centres[::-1], drawn.shade)
        alone = [
            Scene((s,), (c,), drawn.shade) for s, c in zip(drawn.shapes, drawn.centres, strict=True)
        ]
        first, second = (render(single).astype(int) - drawn.shade for single in alone)
        sum_of_both = first + second + drawn.shade
        assert abs(render(drawn).astype(int) - render(turned)).max() <= 1
        near = (first != 0).any(-1) & (second != 0).any(-1)
        assert (render(drawn) == sum_of_both)[~near].all()
