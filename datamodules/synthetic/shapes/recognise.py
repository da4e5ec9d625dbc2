"""Recognises the scene of an image from its pixels alone.

A pixel of a shape is a mixture of the background and one colour, so it lies on the line between
the two. Connected pixels that share a line are a shape; which one is decided by drawing all forms
in all sizes at its position.

Shape legend: Y = rows of pixels, X = columns, C = red, green and blue, K = colours, N = pixels of
a shape, with row and column each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from datamodules.synthetic.shapes.render import MIDDLE, Pixels, Plane, cover
from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, RADII, SIDE, Shape, place_of

LEAST = 8
"""Fewest pixels of a shape; the smallest has about 24."""
MARGIN = 2
"""Pixels around the box of a shape in which its edge may lie."""

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Colouring:
    """The mixture of each pixel.

    Attributes:
        share_KYX: Share of each colour, next to the background, that explains the pixel best.
        kind_YX: Index of the colour that explains it best.
        is_shape_YX: Whether that colour covers more than half of the pixel.
    """

    share_KYX: Plane
    kind_YX: NDArray[np.int64]
    is_shape_YX: NDArray[np.bool_]


def read(image: Pixels, limit: int = 2) -> tuple[Shape, ...]:
    """The shapes of an image, the largest first.

    Args:
        image: Any image of the right size, uint8 [Y, X, C].
        limit: Largest number of shapes to return.

    Raises:
        ValueError: The image has another size.
    """
    if image.shape != (SIDE, SIDE, 3):
        raise ValueError(f"an image of shapes is {(SIDE, SIDE, 3)}, got {image.shape}.")
    colouring = unmix(image)
    return tuple(recognise(colouring, pixels_N2) for pixels_N2 in find(colouring)[:limit])


def unmix(image: Pixels) -> Colouring:
    """Decompose every pixel into background plus a share of the nearest colour."""
    background_C = np.median(image, axis=(0, 1))  # shapes cover less than half of an image
    light_YXC = (image - background_C).astype(np.float32)
    line_KC = (np.array(list(COLOURS.values())) - background_C).astype(np.float32)
    length_K11 = np.maximum((line_KC**2).sum(1), 1.0)[:, None, None]
    share_KYX = np.clip(np.einsum("yxc,kc->kyx", light_YXC, line_KC) / length_K11, 0, 1)
    rest_KYXC = light_YXC - share_KYX[..., None] * line_KC[:, None, None]
    kind_YX = (rest_KYXC**2).sum(-1).argmin(0)
    return Colouring(share_KYX, kind_YX, np.take_along_axis(share_KYX, kind_YX[None], 0)[0] > 0.5)


def find(colouring: Colouring) -> list[Positions]:
    """The pixels [N, 2] of each shape, most pixels first.

    The boxes around two shapes never overlap; so pixels in the box of a larger one belong to it,
    such as those at its edge that look like another colour.
    """
    parts = sorted(connected(colouring), key=len, reverse=True)
    found: list[Positions] = []
    for part_N2 in parts:
        if len(part_N2) >= LEAST and not any(lies_in(part_N2, shape_N2) for shape_N2 in found):
            found.append(part_N2)
    return found


def connected(colouring: Colouring) -> list[Positions]:
    """Pixels of one colour that touch, corners included, [N, 2] each."""
    where = np.argwhere(colouring.is_shape_YX).tolist()
    kind_YX = colouring.kind_YX.tolist()
    left = {(y, x): kind_YX[y][x] for y, x in where}
    parts = []
    while left:
        first, kind = left.popitem()
        part = [first]
        for y, x in part:  # grows while it is walked through
            for near in product((y - 1, y, y + 1), (x - 1, x, x + 1)):
                if left.get(near) == kind:
                    del left[near]
                    part.append(near)
        parts.append(np.array(part))
    return parts


def lies_in(part_N2: Positions, shape_N2: Positions) -> bool:
    """Whether most of a part lies in the box around a shape."""
    low, high = shape_N2.min(0), shape_N2.max(0)
    return bool(((part_N2 >= low) & (part_N2 <= high)).all(1).mean() > 0.5)


def recognise(colouring: Colouring, pixels_N2: Positions) -> Shape:
    """The form and size that fit best when drawn around the same centre of mass."""
    kind = int(colouring.kind_YX[tuple(pixels_N2[0])])
    cover_YX = own_cover(colouring, kind, pixels_N2)
    x = float((cover_YX.sum(0) * MIDDLE).sum() / cover_YX.sum())
    y = float((cover_YX.sum(1) * MIDDLE).sum() / cover_YX.sum())

    def error(candidate: tuple[str, str]) -> float:
        form, size = candidate
        drawn_YX = cover(form, RADII[size], x, y - lift(form, RADII[size]))
        return float(((drawn_YX - cover_YX) ** 2).sum())

    form, size = min(product(FORMS, RADII), key=error)
    return Shape(list(COLOURS)[kind], form, size, place_of(x, y - lift(form, RADII[size])))


def own_cover(colouring: Colouring, kind: int, pixels_N2: Positions) -> Plane:
    """Share of each pixel that a shape covers, soft edge included, [Y, X]."""
    low, high = np.maximum(pixels_N2.min(0) - MARGIN, 0), pixels_N2.max(0) + MARGIN + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    is_other_YX = colouring.is_shape_YX & (colouring.kind_YX != kind)
    cover_YX = np.zeros((SIDE, SIDE), np.float32)
    cover_YX[box] = np.where(is_other_YX, 0, colouring.share_KYX[kind])[box]
    return cover_YX


def lift(form: str, radius: float) -> float:
    """Distance of the centre of mass below the centre of the box: of a triangle, a third."""
    return radius / 3 if form == "triangle" else 0.0


def agreement(wanted: Sequence[Shape], found: Sequence[Shape]) -> dict[str, float]:
    """Share of the wanted shapes that were found; their order does not matter.

    Args:
        wanted: The true shapes, at least one.
        found: The recognised shapes, any number.

    Returns:
        `count`: 1 where the numbers agree. `colour`, `form`, `size`, `place`: share of the wanted
        shapes with the right one, under the best matching. `all`: 1 where everything is right.
    """
    names = [field.name for field in fields(Shape)]
    padded = [*found, *[None] * max(0, len(wanted) - len(found))]

    def rights(match: Sequence[Shape | None]) -> list[list[bool]]:
        pairs = list(zip(wanted, match, strict=True))
        return [[getattr(a, n) == getattr(b, n, None) for a, b in pairs] for n in names]

    best = max((rights(m) for m in permutations(padded, len(wanted))), key=lambda r: np.sum(r))
    rates = {name: float(np.mean(right)) for name, right in zip(names, best, strict=True)}
    same = len(wanted) == len(found)
    return {"count": float(same), **rates, "all": float(same and bool(np.all(best)))}
