"""The three analyses as a picture: differences of token frequencies, information gain, MAUVE.

A disc is the supportive group minus random ones; the wide bar its interval over seeds, the narrow
one where a random group's would lie. MAUVE is shown as it is, beside random groups and two halves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from PIL import Image

from modules.drawing.sheet import Sheet
from modules.icl.analysis.comparison import Analyses, DomainRelevance
from modules.icl.analysis.groups import Difference

WIDE, HIGH, LEFT, TOP, GAP, BOTTOM = 250, 300, 70, 56, 80, 96
"""Pixels: sides of a panel, margins on the left and above, between panels, and below."""
BESIDE = 15
"""Pixels between marks of one column."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of tasks in order (Okabe and Ito, 2008)."""
GRID, GREY, DARK = "#dddddd", "#aaaaaa", "#404040"
"""Colours of grid lines, of random groups, and of the value 0 and of halves."""
MOST_MARKS = 6
"""Numbers at an axis, at most."""


@dataclass(frozen=True)
class Panel:
    """Where values stand.

    Attributes:
        left: Of its first column, in pixels.
        low: Value at the bottom.
        high: Value at the top.
        columns: What stands below, from left to right.
    """

    left: int
    low: float
    high: float
    columns: Sequence[str]

    def x(self, column: int) -> float:
        """Pixel of the middle of a column."""
        return self.left + WIDE * (column + 0.5) / len(self.columns)

    def y(self, value: float) -> float:
        """Pixel of a value."""
        return TOP + HIGH * (1 - (value - self.low) / (self.high - self.low))


def picture(analyses: Mapping[str, Analyses]) -> Image.Image:
    """Draw the analyses of one or more tasks.

    Args:
        analyses: By name of the task, each of the same long contexts.
    """
    sheet = Sheet(LEFT + 4 * (WIDE + GAP), TOP + HIGH + BOTTOM)
    inks = [PALETTE[n % len(PALETTE)] for n in range(len(analyses))]
    several = list(zip(analyses.items(), inks, strict=True))
    context = next(iter(analyses.values())).context
    zipf = {name: [(one.frequency.zipf, ink)] for (name, one), ink in several}
    tail = {name: [(one.frequency.long_tail, ink)] for (name, one), ink in several}
    gains = {
        f"l {long}": [(one.context.gains[long], ink) for (_, one), ink in several]
        for long in context.gains
    }
    differences(sheet, 0, "Zipf coefficient", zipf)
    differences(sheet, 1, "long-tail mass", tail)
    differences(sheet, 2, f"IG(l, {context.short}), nats per token", gains)
    relevances(sheet, 3, {name: (one.relevance, ink) for (name, one), ink in several})
    legend(sheet, dict(zip(analyses, inks, strict=True)))
    return sheet.image()


def differences(
    sheet: Sheet,
    place: int,
    title: str,
    columns: Mapping[str, Sequence[tuple[Difference, str]]],
) -> None:
    """A panel of differences.

    Args:
        sheet: What is drawn on.
        place: Of the panel, from the left.
        title: What is compared.
        columns: By the name below each column, its differences and their colours.
    """
    bars = [one.of_one_group() for column in columns.values() for one, _ in column]
    ends = [0.0, *(one.low for one in bars), *(one.high for one in bars)]
    panel = framed(sheet, place, f"{title}, minus random", list(columns), ends)
    sheet.line([(panel.left, panel.y(0)), (panel.left + WIDE, panel.y(0))], DARK)
    for m, column in enumerate(columns.values()):
        first = panel.x(m) - BESIDE * (len(column) - 1) / 2
        for n, (one, ink) in enumerate(column):
            interval_mark(sheet, first + n * BESIDE, panel, one, ink)


def interval_mark(sheet: Sheet, x: float, panel: Panel, one: Difference, ink: str) -> None:
    """A difference with both of its intervals."""
    seeds, group = one.over_seeds(), one.of_one_group()
    sheet.box((x - 0.5, panel.y(group.high), x + 0.5, panel.y(group.low)), ink)
    sheet.box((x - 3, panel.y(seeds.high), x + 3, panel.y(seeds.low)), ink)
    sheet.disc((x, panel.y(seeds.value)), 5, ink)


def relevances(
    sheet: Sheet, place: int, columns: Mapping[str, tuple[DomainRelevance, str]]
) -> None:
    """A panel of MAUVE itself: the supportive group, random groups and halves of the task."""
    found = [one for one, _ in columns.values()]
    ends = [
        v for one in found for v in (one.mauve.supportive, one.halves.mean, *one.mauve.random_S)
    ]
    panel = framed(sheet, place, "MAUVE with the task's texts", list(columns), ends)
    for n, (one, ink) in enumerate(columns.values()):
        x, y = panel.x(n), panel.y(one.halves.mean)
        for value in one.mauve.random_S:
            sheet.disc((x + BESIDE, panel.y(value)), 3, GREY)
        sheet.box((x - 2 * BESIDE, y - 1, x + 2 * BESIDE, y + 1), DARK)
        sheet.disc((x - BESIDE, panel.y(one.mauve.supportive)), 5, ink)


def framed(
    sheet: Sheet, place: int, title: str, columns: Sequence[str], values: Sequence[float]
) -> Panel:
    """A panel with its title, its numbers and the names of its columns."""
    marks, digits = round_numbers(min(values), max(values))
    panel = Panel(LEFT + place * (WIDE + GAP), marks[0], marks[-1], columns)
    for value in marks:
        y = panel.y(value)
        sheet.line([(panel.left, y), (panel.left + WIDE, y)], GRID)
        sheet.text((panel.left - 8, y), f"{value:.{digits}f}", "rm")
    for n, name in enumerate(columns):
        sheet.text((panel.x(n), TOP + HIGH + 8), name, "ma")
    sheet.text((panel.left, TOP - 34), title, "la")
    return panel


def round_numbers(low: float, high: float) -> tuple[list[float], int]:
    """Marks of an axis that hold a range, and their digits behind the point."""
    room = (high - low) or abs(low) or 1.0
    order = 10.0 ** floor(log10(room))
    steps = [order * one for one in (0.2, 0.5, 1.0, 2.0, 5.0)]
    step = next(one for one in steps if ceil(high / one) - floor(low / one) < MOST_MARKS)
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return [n * step for n in range(first, last + 1)], max(0, -floor(log10(step)))


def legend(sheet: Sheet, inks: Mapping[str, str]) -> None:
    """Colours of tasks, and what marks are."""
    y = TOP + HIGH + 52
    for n, (name, ink) in enumerate(inks.items()):
        sheet.disc((LEFT + 140 * n, y), 5, ink)
        sheet.text((LEFT + 140 * n + 12, y), name, "lm")
    note = "wide bar: 95 % over seeds     narrow bar: 95 % of single random groups     "
    note += "grey: MAUVE of random groups     dash: of two halves of the task's texts"
    sheet.text((LEFT, y + 24), note, "lm", DARK)
