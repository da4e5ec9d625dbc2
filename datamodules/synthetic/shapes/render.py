"""Renders scenes with smooth edges.

Shape legend: Y = rows of pixels, X = columns, C = red, green and blue.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datamodules.synthetic.shapes.scenes import COLOURS, RADII, SIDE, Scene

Plane = NDArray[np.float32]
Pixels = NDArray[np.uint8]

MIDDLE = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
"""Centres of the pixels of a row or column."""
ARM = np.float32(0.36)
"""Half the width of an arm of the cross, in radii."""
HOLE = np.float32(0.5)
"""Radius of the ring's hole, in radii."""
SLANT = np.float32(5**0.5)
"""Length of a side of the triangle, in radii."""

Depth = Callable[[Plane, Plane, np.float32], Plane]
"""From x and y, both from the shape's centre, and the radius: depth of a point inside the shape."""


def circle_depth(x: Plane, y: Plane, radius: np.float32) -> Plane:
    """Distance to the edge, positive inside."""
    return radius - np.hypot(x, y)


def square_depth(x: Plane, y: Plane, radius: np.float32) -> Plane:
    """Distance to the nearest side, positive inside."""
    return radius - np.maximum(abs(x), abs(y))


def triangle_depth(x: Plane, y: Plane, radius: np.float32) -> Plane:
    """Distance to the nearest side, positive inside; upright, and as large as its box."""
    return np.minimum(radius - y, (radius + y - 2 * abs(x)) / SLANT)


def cross_depth(x: Plane, y: Plane, radius: np.float32) -> Plane:
    """Distance to the nearest side of the arm that reaches the point, positive inside."""
    one, other = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
    return np.minimum(ARM * radius - one, radius - other)


def ring_depth(x: Plane, y: Plane, radius: np.float32) -> Plane:
    """Distance to the nearer of the two edges, positive inside."""
    away = np.hypot(x, y)
    return np.minimum(radius - away, away - HOLE * radius)


DEPTHS: dict[str, Depth] = {
    "circle": circle_depth,
    "square": square_depth,
    "triangle": triangle_depth,
    "cross": cross_depth,
    "ring": ring_depth,
}
"""Depth of each form; negative outside."""


def cover(form: str, radius: float, x: float, y: float) -> Plane:
    """Share of each pixel that a shape covers, [Y, X] in [0, 1]; the edge is one pixel soft.

    Args:
        form: One of the forms.
        radius: Half the width of the shape, in pixels.
        x: Centre of the box around it, in pixels from the left.
        y: The same from the top.
    """
    from_x, from_y = MIDDLE[None, :] - np.float32(x), MIDDLE[:, None] - np.float32(y)
    depth_YX = DEPTHS[form](from_x, from_y, np.float32(radius))
    return (depth_YX + np.float32(0.5)).clip(0, 1)


def render(scene: Scene) -> Pixels:
    """The image of a scene, uint8 [Y, X, C]."""
    image = np.full((SIDE, SIDE, 3), scene.shade, np.float32)
    for shape, (x, y) in zip(scene.shapes, scene.centres, strict=True):
        cover_YX1 = cover(shape.form, RADII[shape.size], x, y)[..., None]
        image += cover_YX1 * (np.array(COLOURS[shape.colour], np.float32) - image)
    return (image + 0.5).astype(np.uint8)
