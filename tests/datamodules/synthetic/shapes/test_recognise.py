import numpy as np
import pytest

from benchmarks.shapes import SPOILS
from datamodules.synthetic.shapes.recognise import agreement, read
from datamodules.synthetic.shapes.render import render
from datamodules.synthetic.shapes.scenes import (
    COLOURS,
    FORMS,
    PLACES,
    RADII,
    SHADES,
    Scene,
    Shape,
    scene,
)

BLUE = Shape("blue", "circle", "small", "left")
RED = Shape("red", "ring", "large", "right")


def image_of(*shapes, shade=40):
    return render(Scene(shapes, tuple(PLACES[shape.place] for shape in shapes), shade))


def grey(value):
    return np.full((32, 32, 3), value, np.uint8)


@pytest.mark.parametrize("shade", SHADES)
@pytest.mark.parametrize("form", FORMS)
def test_a_single_shape_is_read_exactly(form, shade):
    for colour in COLOURS:
        for size in RADII:
            for place in ("centre", "top left"):
                shape = Shape(colour, form, size, place)
                assert read(image_of(shape, shade=shade)) == (shape,)


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_scenes_are_read_back_from_clean_noised_and_blurred_images(spoil):
    rates = []
    for index in range(300):
        drawn = scene(7, index, "all")
        rates.append(agreement(drawn.shapes, read(spoil(render(drawn), index), limit=5))["all"])
    assert np.mean(rates) >= 0.99


def test_the_shape_of_more_pixels_comes_first_and_the_limit_holds():
    green = Shape("green", "square", "large", "top")
    image = image_of(BLUE, RED, green)
    assert read(image, limit=3) == (green, RED, BLUE)
    assert read(image) == (green, RED)
    assert read(image, limit=1) == (green,)


def test_two_shapes_of_one_colour_are_two():
    other = Shape("blue", "cross", "large", "right")
    assert read(image_of(BLUE, other)) == (other, BLUE)


def test_pixels_of_another_colour_inside_a_shape_are_no_shape():
    image = image_of(Shape("red", "square", "large", "centre"))
    image[14:18, 14:18] = COLOURS["green"]
    assert [shape.colour for shape in read(image)] == ["red"]


def test_a_speck_is_no_shape():
    image = image_of(BLUE)
    image[20:22, 20:23] = COLOURS["red"]
    assert read(image) == (BLUE,)


@pytest.mark.parametrize("value", [0, 40, 245, 255])
def test_a_plain_image_shows_nothing(value):
    assert read(grey(value)) == ()


def test_any_image_is_read_without_an_error():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(30)]
    images += [grey(0) + np.array(colour, np.uint8) for colour in COLOURS.values()]
    images += [image // 2 + 128 for image in images]
    half = grey(0)
    half[:, 16:] = COLOURS["white"]
    for image in [*images, half]:
        assert len(read(image)) <= 2


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"is \(32, 32, 3\), got \(32, 31, 3\)"):
        read(grey(0)[:, :31])


def test_agreement_does_not_depend_on_the_order():
    everything = dict.fromkeys(("count", "colour", "form", "size", "place", "all"), 1.0)
    assert agreement((BLUE, RED), (RED, BLUE)) == everything
    assert agreement((BLUE,), (BLUE,)) == everything


def test_agreement_counts_each_wrong_word_of_the_best_matching():
    wrong = Shape("blue", "square", "small", "top")
    rates = agreement((BLUE, RED), (RED, wrong))
    assert rates == {"count": 1, "colour": 1, "form": 0.5, "size": 1, "place": 0.5, "all": 0}
    swapped = (
        Shape("red", *("circle", "small", "left")),
        Shape("blue", *("ring", "large", "right")),
    )
    assert agreement((BLUE, RED), swapped)["colour"] == 0  # the right colours on the wrong forms


def test_what_is_missing_or_too_many_is_never_all_right():
    missing = agreement((BLUE, RED), (RED,))
    assert missing == {"count": 0, "colour": 0.5, "form": 0.5, "size": 0.5, "place": 0.5, "all": 0}
    assert agreement((BLUE,), ())["colour"] == 0
    extra = agreement((BLUE,), (RED, BLUE))
    assert extra == {"count": 0, "colour": 1, "form": 1, "size": 1, "place": 1, "all": 0}
