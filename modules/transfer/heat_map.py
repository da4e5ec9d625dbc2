"""A matrix as a heat map: one coloured square per cell, with its value."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = (92, 34)
"""Width and height of a cell, in pixels."""
MARGIN = 12
SIZE = 14
"""Height of the letters, in pixels."""
LADDER = np.array([[247, 251, 255], [158, 202, 225], [49, 130, 189], [8, 48, 107]], float)
"""Colours from low to high: pale to dark blue."""
MISSING = (225, 225, 225)


def heat_map(
    value_DG: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    low: float,
    high: float,
    digits: int = 3,
    labels: Sequence[Sequence[str]] | None = None,
) -> Image.Image:
    """Draw a matrix; what lies outside of the range takes the colour of its end.

    Args:
        value_DG: The numbers; NaN stays grey.
        rows: Names on the left.
        columns: Names on top.
        title: Stands above.
        low: Value of the palest colour.
        high: Value of the darkest.
        digits: Behind the point.
        labels: What stands in the cells instead of their numbers.

    Raises:
        ValueError: The names do not fit the numbers, or the range is empty.
    """
    if value_DG.shape != (len(rows), len(columns)):
        raise ValueError(f"{len(rows)} x {len(columns)} names for numbers {value_DG.shape}")
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    font = ImageFont.load_default(SIZE)
    left = 2 * MARGIN + round(max(font.getlength(name) for name in rows))
    wide = max(CELL[0], MARGIN + round(max(font.getlength(name) for name in columns)))
    top = 2 * MARGIN + 2 * CELL[1]
    width = max(left + wide * len(columns) + MARGIN, 2 * MARGIN + round(font.getlength(title)))
    image = Image.new("RGB", (width, top + CELL[1] * len(rows) + MARGIN), "white")
    brush = ImageDraw.Draw(image)
    brush.text((MARGIN, MARGIN), title, "black", font)
    for g, name in enumerate(columns):
        middle = left + g * wide + wide // 2, top - CELL[1] // 2
        brush.text(middle, name, "black", font, anchor="mm")
    for d, name in enumerate(rows):
        y = top + d * CELL[1]
        brush.text((left - MARGIN, y + CELL[1] // 2), name, "black", font, anchor="rm")
        for g in range(len(columns)):
            square = (left + g * wide, y, left + (g + 1) * wide - 2, y + CELL[1] - 2)
            value = float(value_DG[d, g])
            text = labels[d][g] if labels else "-" if np.isnan(value) else f"{value:.{digits}f}"
            paint(brush, square, (value - low) / (high - low), text, font)
    return image


def paint(
    brush: ImageDraw.ImageDraw,
    square: tuple[int, int, int, int],
    share: float,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Fill a square by how far from low to high it is; its text is pale on dark, dark on pale."""
    fill = MISSING if np.isnan(share) else colour(share)
    brush.rectangle(square, fill)
    ink = "white" if sum(fill) < 3 * 128 else "black"
    middle = (square[0] + square[2]) // 2, (square[1] + square[3]) // 2
    brush.text(middle, text, ink, font, anchor="mm")


def colour(share: float) -> tuple[int, int, int]:
    """The colour at a share of the way from low to high."""
    at = min(max(share, 0.0), 1.0) * (len(LADDER) - 1)
    below = min(int(at), len(LADDER) - 2)
    red, green, blue = LADDER[below] + (at - below) * (LADDER[below + 1] - LADDER[below])
    return round(red), round(green), round(blue)
