"""Synthetic scenes of one or two plain shapes, by index: the content of an image and a caption.

Of the 40 pairs of a colour and a form, a fixed fifth is held out: one pair of every colour, at most
two of a form. Training shows the other pairs only, so that every colour and every form is seen,
but never these together. Lengths are in pixels, x to the right and y down, of an image of 32 x 32.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

SIDE = 32
"""Width and height of an image, in pixels."""
COLOURS = {
    "red": (220, 30, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 240, 80),
    "green": (50, 180, 70),
    "cyan": (70, 220, 235),
    "blue": (50, 90, 235),
    "purple": (175, 60, 200),
    "white": (245, 245, 245),
}
"""Red, green and blue of each colour, 0 to 255."""
FORMS = ("circle", "square", "triangle", "cross", "ring")
RADII = {"small": 3.25, "large": 5.75}
"""Half the width, and half the height, of a shape of each size."""
LOW, MIDDLE, HIGH = 6.5, 16.0, 25.5
PLACES = {
    "top left": (LOW, LOW),
    "top": (MIDDLE, LOW),
    "top right": (HIGH, LOW),
    "left": (LOW, MIDDLE),
    "centre": (MIDDLE, MIDDLE),
    "right": (HIGH, MIDDLE),
    "bottom left": (LOW, HIGH),
    "bottom": (MIDDLE, HIGH),
    "bottom right": (HIGH, HIGH),
}
"""Centre of each position, (x, y)."""
JITTER = 0.75
"""Largest distance of a shape from the centre of its position, in x and in y."""
GAP = 1.0
"""Smallest free space between the boxes around two shapes."""
SHADES = (16, 40, 64)
"""Greys of the background; captions do not mention them."""

Pair = tuple[str, str]
"""A colour and a form."""
PAIRS: tuple[Pair, ...] = tuple((colour, form) for colour in COLOURS for form in FORMS)
HELD_OUT: tuple[Pair, ...] = tuple(
    (colour, FORMS[(3 * i + 1) % len(FORMS)]) for i, colour in enumerate(COLOURS)
)
"""The pairs that training never shows."""
SEEN: tuple[Pair, ...] = tuple(pair for pair in PAIRS if pair not in HELD_OUT)
"""The pairs that training shows."""

Part = Literal["train", "held_out", "all"]
"""Seen pairs only; scenes in which exactly one shape is a held-out pair; or all pairs alike."""


@dataclass(frozen=True)
class Shape:
    """The attributes of a shape that a caption gives.

    Attributes:
        colour: One of `COLOURS`.
        form: One of `FORMS`.
        size: One of `RADII`.
        place: One of `PLACES`.
    """

    colour: str
    form: str
    size: str
    place: str


@dataclass(frozen=True)
class Scene:
    """Everything that determines an image.

    Attributes:
        shapes: One or two shapes, of different colours.
        centres: Centre of the box around each shape, (x, y).
        shade: Grey of the background, 0 to 255.
    """

    shapes: tuple[Shape, ...]
    centres: tuple[tuple[float, float], ...]
    shade: int


def scene(seed: int, index: int, part: Part = "train", num_shapes: int | None = None) -> Scene:
    """One scene, always the same for the same arguments.

    Args:
        seed: Which series.
        index: Which scene of the series.
        part: Which pairs of colour and form may occur.
        num_shapes: One or two; None draws it.

    Raises:
        ValueError: An unknown part, or a number of shapes that is neither 1 nor 2.
    """
    if part not in get_args(Part):
        raise ValueError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}.")
    if num_shapes not in (None, 1, 2):
        raise ValueError(f"num_shapes must be 1, 2 or None, got {num_shapes}.")
    rng = Random(f"{part}/{seed}/{index}")
    num = num_shapes or rng.randint(1, 2)
    pairs = draw_pairs(rng, part, num)
    sizes = [rng.choice(list(RADII)) for _ in range(num)]
    places, centres = draw_layout(rng, [RADII[size] for size in sizes])
    shapes = zip(pairs, sizes, places, strict=True)
    return Scene(
        tuple(Shape(colour, form, size, place) for (colour, form), size, place in shapes),
        tuple(centres),
        rng.choice(SHADES),
    )


def draw_pairs(rng: Random, part: Part, num: int) -> list[Pair]:
    """One or two pairs of different colours; one of them is held out if `part` is."""
    first = rng.choice({"train": SEEN, "held_out": HELD_OUT, "all": PAIRS}[part])
    others = [pair for pair in (PAIRS if part == "all" else SEEN) if pair[0] != first[0]]
    pairs = [first, rng.choice(others)][:num]
    rng.shuffle(pairs)
    return pairs


def draw_layout(rng: Random, radii: list[float]) -> tuple[list[str], list[tuple[float, float]]]:
    """Positions, and centres near theirs, drawn until no two shapes are too close."""
    while True:
        places = [rng.choice(list(PLACES)) for _ in radii]
        centres = [near(rng, *PLACES[place]) for place in places]
        if len(radii) == 1 or distance(*centres) >= sum(radii) + GAP:
            return places, centres


def near(rng: Random, x: float, y: float) -> tuple[float, float]:
    """A point at most `JITTER` away, in x and in y."""
    return x + rng.uniform(-JITTER, JITTER), y + rng.uniform(-JITTER, JITTER)


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Chebyshev distance, which decides whether two boxes overlap."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def place_of(x: float, y: float) -> str:
    """The position whose centre is nearest."""
    return min(PLACES, key=lambda place: (PLACES[place][0] - x) ** 2 + (PLACES[place][1] - y) ** 2)
