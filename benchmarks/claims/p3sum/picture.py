"""The frontier of stance against facts as a picture: `python -m benchmarks.claims.p3sum.picture`.

Reads what the parts `stance` and `frontier` left in benchmarks/results, and writes
docs/p3sum_frontier.png: on the left the article's own stance is asked for, on the right another.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log10
from pathlib import Path
from typing import Any

from PIL import Image

from modules.drawing.sheet import SIZE, Sheet, font

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
FILES = ("claims_p3sum_stance.json", "claims_p3sum_frontier.json")
TARGET = ROOT / "docs" / "p3sum_frontier.png"
OTHER = "other stance, "
"""Beginning of the names of points of another stance than the article's."""
KINDS = {
    "unguided": ("unguided diffusion", "#000000"),
    "lambda ": ("diffusion, classifier, over lambda", "#0072b2"),
    "diffusion, best of ": ("diffusion, best of n", "#56b4e9"),
    "stance token, w ": ("diffusion, stance token, over w", "#d55e00"),
    "stance token and classifier, ": ("stance token and classifier, w; lambda", "#cc79a7"),
    "causal, ": ("causal model, greedy and best of n", "#009e73"),
    "stance experts, alpha ": ("causal model, stance experts, over alpha", "#e69f00"),
}
"""By the beginning of a point's name: what it is called, and its colour (Okabe and Ito, 2008)."""
APART = ("causal, ", "stance experts, alpha ", "stance token and classifier, ")
"""Kinds whose points no line joins."""
PANEL, LEFT, TOP, GAP, ROW = 560, 70, 56, 70, 22
"""Pixels: side of a panel, margins, between panels, height of a line."""
FEWEST = 0.84
"""Facts at the left edge, at least; points with fewer stand there, with their number."""
ORDERS = (0.1, 1.0, 10.0)
"""Gigaflops in the legend."""


@dataclass(frozen=True)
class Point:
    """One way to summarise.

    Attributes:
        kind: Key of `KINDS`.
        name: What is written beside it.
        facts: Share of facts right.
        kept: Suc.
        gigaflops: Of a summary.
    """

    kind: str
    name: str
    facts: float
    kept: float
    gigaflops: float

    @property
    def radius(self) -> float:
        """Pixels; the same step for each factor of operations."""
        return max(3.0, 7 + 4 * log10(max(self.gigaflops, 1e-3)))


def points(frontier: Mapping[str, Mapping[str, float]], is_other: bool) -> list[Point]:
    """The points of a panel, in order; names that are no kind are left out."""
    found = []
    for name, rates in frontier.items():
        if name.startswith(OTHER) != is_other:
            continue
        name = name.removeprefix(OTHER)
        if name.startswith("stance token") and "lambda" in name:
            name = name.replace("stance token, ", "stance token and classifier, ")
        kind = next((one for one in KINDS if name.startswith(one)), None)
        if kind is not None:
            short = name.removeprefix(kind).replace("lambda ", "").replace("w ", "")
            if rates["facts"] < FEWEST:
                short += f" (facts {rates['facts']:.2f})"
            found.append(Point(kind, short, *(rates[k] for k in ("facts", "kept", "gigaflops"))))
    return found


@dataclass(frozen=True)
class Axes:
    """Where numbers stand in a panel.

    Attributes:
        left: Of its first column.
        facts: Range from left to right.
        kept: Range from bottom to top.
    """

    left: int
    facts: tuple[float, float]
    kept: tuple[float, float]

    def at(self, facts: float, kept: float) -> tuple[float, float]:
        """Pixel of a point; outside of the range that of the edge."""
        x = (facts - self.facts[0]) / (self.facts[1] - self.facts[0])
        y = (kept - self.kept[0]) / (self.kept[1] - self.kept[0])
        inside = [min(max(one, 0.0), 1.0) for one in (x, y)]
        return self.left + inside[0] * PANEL, TOP + (1 - inside[1]) * PANEL


def draw(frontier: Mapping[str, Mapping[str, float]]) -> Image.Image:
    """Both panels and the legend."""
    lines = len(KINDS) + 1
    sheet = Sheet(2 * PANEL + LEFT + 2 * GAP, TOP + PANEL + 60 + (lines + 1) // 2 * ROW)
    titles = ("the article's own stance", "another stance is asked for")
    for n, title in enumerate(titles):
        some = points(frontier, bool(n))
        axes = Axes(LEFT + n * (PANEL + GAP), *(ranges(some)))
        frame(sheet, axes, title)
        scatter(sheet, axes, some)
    legend(sheet, TOP + PANEL + 56)
    return sheet.image()


def ranges(some: Sequence[Point]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Tenths around all points, with at least two marks."""
    found = []
    for values, least in (([one.facts for one in some], FEWEST), ([one.kept for one in some], 0)):
        low = int(min(values, default=0.9) * 50) / 50
        found.append((max(min(low, 0.95), least), 1.0))
    facts, kept = found
    return (facts[0], facts[1] + (1 - facts[0]) / 12), (kept[0], kept[1] + (1 - kept[0]) / 24)


def frame(sheet: Sheet, axes: Axes, title: str) -> None:
    """Marks, their numbers and what they count."""
    right, bottom = axes.left + PANEL, TOP + PANEL
    for low, is_kept in ((axes.facts[0], False), (axes.kept[0], True)):
        step = 0.1 if 1 - low > 0.35 else 0.02 if 1 - low > 0.12 else 0.01
        for n in range(ceil(low / step - 1e-6), round(1 / step) + 1):
            value = n * step
            x, y = axes.at(axes.facts[0] if is_kept else value, value if is_kept else 0.0)
            ends = ((x, y), (right, y)) if is_kept else ((x, TOP), (x, bottom))
            sheet.line(ends, "#dddddd")
            number = f"{value:.2f}"
            if is_kept:
                sheet.text((x - 8, y), number, "rm")
            else:
                sheet.text((x, bottom + 8), number, "ma")
    sheet.text((axes.left, 10), title, "la")
    sheet.text((axes.left, 30), "stance kept (Suc, exact reader), upwards", "la")
    sheet.text((right, bottom + 28), "facts right, to the right", "ra")


def scatter(sheet: Sheet, axes: Axes, some: Sequence[Point]) -> None:
    """Lines between the points of a kind, discs, and names where there is room."""
    for kind, (_, ink) in KINDS.items():
        own = [axes.at(one.facts, one.kept) for one in some if one.kind == kind]
        if kind not in APART:
            for pair in pairwise(own):
                sheet.line(pair, ink)
    taken = []
    for one in sorted(some, key=lambda point: -point.gigaflops):
        x, y = axes.at(one.facts, one.kept)
        sheet.disc((x, y), one.radius, KINDS[one.kind][1])
        taken.append((x - one.radius, y - one.radius, x + one.radius, y + one.radius))
    for one in some:
        write_beside(sheet, axes, one, taken)


def write_beside(
    sheet: Sheet, axes: Axes, one: Point, taken: list[tuple[float, float, float, float]]
) -> None:
    """Write a point's name beside it, where it covers nothing; else nowhere."""
    x, y = axes.at(one.facts, one.kept)
    if not one.name:
        return
    wide = font(1).getlength(one.name)
    for dx in (one.radius + 3, -one.radius - 3 - wide):
        for dy in (0, -12, 12, -24, 24):
            box = (x + dx, y + dy - SIZE / 2, x + dx + wide, y + dy + SIZE / 2)
            inside = axes.left < box[0] and box[2] < axes.left + PANEL + GAP - 4 and box[1] > TOP
            if inside and not any(overlap(box, other) for other in taken):
                sheet.text((x + dx, y + dy), one.name, "lm", KINDS[one.kind][1])
                taken.append(box)
                return


def overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two boxes have a point in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def legend(sheet: Sheet, top: int) -> None:
    """Colours, in two columns, and the sizes of operations."""
    for n, (name, ink) in enumerate(KINDS.values()):
        x, y = LEFT + n % 2 * (PANEL + GAP), top + n // 2 * ROW
        sheet.disc((x, y), 7, ink)
        sheet.text((x + 16, y), name, "lm")
    n = len(KINDS)
    x, y = LEFT + n % 2 * (PANEL + GAP), top + n // 2 * ROW
    for size in ORDERS:
        one = Point("", "", 0, 0, size)
        sheet.disc((x, y), one.radius, "#888888")
        sheet.text((x + 16, y), f"{size:g}", "lm")
        x += 64
    sheet.text((x, y), "GFLOP a summary", "lm")


def measured(files: Sequence[Path]) -> dict[str, Any]:
    """The points of results files, later ones first where both have a name."""
    found: dict[str, Any] = {}
    for path in files:
        if path.is_file():
            found |= json.loads(path.read_text())["details"]["frontier"]
    return found


def write() -> None:
    """Write the picture of what is measured."""
    draw(measured([RESULTS / name for name in FILES])).quantize(256).save(TARGET, optimize=True)


if __name__ == "__main__":
    write()
