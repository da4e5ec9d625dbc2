"""A white sheet to draw on: smooth edges, text of one size."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Drawn that many times larger, and reduced at the end, so that edges are smooth."""
SIZE = 13
"""Height of the letters, in pixels."""
BLACK = "#000000"
Point = tuple[float, float]
Box = tuple[float, float, float, float]


@cache
def font(scale: int = SCALE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters; those of Latin scripts."""
    return ImageFont.load_default(SIZE * scale)


class Sheet:
    """A picture in the making; all lengths are in pixels of the result.

    Args:
        width: Of the sheet.
        height: Of the sheet.
    """

    def __init__(self, width: int, height: int):
        self.paper = Image.new("RGB", (width * SCALE, height * SCALE), "white")
        self.brush = ImageDraw.Draw(self.paper)

    def image(self) -> Image.Image:
        """What was drawn."""
        return self.paper.reduce(SCALE)

    def text(self, at: Point, text: str, anchor: str, ink: str = BLACK) -> None:
        """Write a line; `anchor` says which point of it is given, as of `ImageDraw.text`."""
        self.brush.text(larger([at])[0], text, ink, font(), anchor=anchor)

    def box(self, box: Box, fill: str | None, edge: str | None = None) -> None:
        """Draw a rectangle, given by its left, top, right and bottom."""
        corners = larger([box[:2], box[2:]])
        if all(a <= b for a, b in zip(*corners, strict=True)):
            self.brush.rectangle(corners, fill, edge, SCALE)

    def disc(self, centre: Point, radius: float, fill: str) -> None:
        """Draw a disc with a pale edge."""
        x, y = centre
        corners = larger([(x - radius, y - radius), (x + radius, y + radius)])
        self.brush.ellipse(corners, fill, "white", SCALE)

    def area(self, corners: Sequence[Point], fill: str) -> None:
        """Fill a polygon."""
        self.brush.polygon(larger(corners), fill)

    def line(self, points: Sequence[Point], ink: str) -> None:
        """Draw a line of one pixel."""
        self.brush.line(larger(points), ink, SCALE)


def larger(points: Sequence[Point]) -> list[Point]:
    """Points on the larger sheet."""
    return [(x * SCALE, y * SCALE) for x, y in points]


def length(text: str) -> float:
    """Width of a line of text."""
    return font().getlength(text) / SCALE


def wrapped(text: str, width: float, most: int) -> list[str]:
    """A text in lines of a width; what does not fit into `most` of them is left out.

    A single word that is wider than a line stays whole.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if length(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} ..."]
