"""Pictures of how summaries settle: stances above, changed tokens below, texts beside them.

From left to right runs generation, from noise to clean. Every reader of stances has a strip,
whose colours show the share of each class; where a strip is not full, the rest has no stance.
"""

from collections.abc import Sequence

from PIL import Image

from modules.drawing.sheet import BLACK, Sheet, length, wrapped
from modules.summariser.findings.trace import Record, Trace, spread

LEFT, WIDE, STRIP, BARS, GAP = 190, 520, 46, 62, 12
"""Pixels: of names on the left, of strips and bars, their heights, and between two of them."""
BESIDE, COLUMN, MARGIN, LINE = 40, 620, 16, 19
"""Pixels: before texts, their column, around everything, of a line of text."""
MOST = 4
"""Lines of a text, at most."""
LEAST = 0.005
"""Share of a class that is shown."""
PALETTE = ["#3b6fb6", "#c9c9c9", "#c8503f", "#5b9e5b", "#d9a03c", "#7d5ba6", "#4aa5a5", "#a06a4a"]
"""Colours of classes, in the order in which they come: left, center and right first."""
DARK, FADED = "#404040", "#777777"
"""Colours of bars, and of what is less important."""


def pictures(records: Sequence[Record], trace: Trace) -> dict[str, Image.Image]:
    """Pictures of a few summaries each, by name of their file."""
    parts = range(0, len(records), trace.per_picture)
    return {
        f"traces/{n:03d}.png": picture(records[a : a + trace.per_picture], trace.num_texts)
        for n, a in enumerate(parts)
    }


def picture(records: Sequence[Record], num_texts: int) -> Image.Image:
    """A picture of summaries, one below the other.

    Args:
        records: As of `traces.jsonl`.
        num_texts: Texts beside each.
    """
    width = 2 * MARGIN + LEFT + WIDE + BESIDE + COLUMN
    heights = [height(one, num_texts) for one in records]
    sheet = Sheet(width, 2 * MARGIN + LINE + sum(heights))
    colours = dict(zip(classes(records), PALETTE * len(records), strict=False))
    legend(sheet, colours)
    top = MARGIN + LINE + GAP
    for record, size in zip(records, heights, strict=True):
        settled(sheet, record, top, colours, num_texts)
        top += size
    return sheet.image()


def classes(records: Sequence[Record]) -> list[str]:
    """Names of all classes, stances first as they come."""
    rows = [shares for record in records for _, one in strips(record) for shares in one]
    return list(dict.fromkeys(name for row in rows for name in row))


def strips(record: Record) -> list[tuple[str, list[dict[str, float]]]]:
    """Names of the strips of a summary, and the shares of each at its kept steps."""
    steps = record["steps"]
    kinds = [("seen", "steers, sees the mixture"), ("read", "reads the text")]
    return [
        (f"{name}\n{where}", [one[kind][name] for one in steps])
        for kind, where in kinds
        for name in steps[0][kind]
    ]


def height(record: Record, num_texts: int) -> int:
    """Pixels that a summary needs."""
    num = len(strips(record))
    left = num * (STRIP + GAP) + BARS + 24
    right = sum(len(lines) for _, _, lines in texts(record, num_texts)) * LINE
    return 2 * LINE + max(left, right + num_texts * GAP // 2) + 2 * GAP


def texts(record: Record, num_texts: int) -> list[tuple[str, float, list[str]]]:
    """Letter, place in the run and lines of the texts beside a summary."""
    steps = record["steps"]
    chosen = [steps[n] for n in spread(len(steps), num_texts)]
    letters = "abcdefghijklmnopqrstuvwxyz" * len(chosen)
    return [
        (letter, one["done"], wrapped(one["text"] or "(empty)", COLUMN - 76, MOST))
        for letter, one in zip(letters, chosen, strict=False)
    ]


def legend(sheet: Sheet, colours: dict[str, str]) -> None:
    """The colour of each class."""
    x = MARGIN + LEFT
    for name, colour in colours.items():
        sheet.box((x, MARGIN + 2, x + 14, MARGIN + 14), colour)
        sheet.text((x + 20, MARGIN + 8), name, "lm")
        x += 44 + round(length(name))


def settled(
    sheet: Sheet, record: Record, top: int, colours: dict[str, str], num_texts: int
) -> None:
    """A summary: its strips, its bars and its texts."""
    title = f"article {record['stance'] or 'unknown'}, asked {record['asked'] or 'nothing'}"
    sheet.text((MARGIN, top + LINE // 2), f"{title}   {record['id']}", "lm")
    y = top + 2 * LINE
    places, beside = [one["done"] for one in record["steps"]], texts(record, num_texts)
    for letter, done, _ in beside:
        sheet.text((across(done), y - 8), letter, "mm", FADED)
    for name, rows in strips(record):
        for n, part in enumerate(name.split("\n")):
            ink = FADED if n else BLACK
            sheet.text((MARGIN + LEFT - 12, y + STRIP // 2 - 8 + 16 * n), part, "rm", ink)
        strip(sheet, rows, places, y, colours)
        y += STRIP + GAP
    bars(sheet, record["changed"], y)
    axis(sheet, y + BARS)
    write_texts(sheet, beside, top + 2 * LINE)


def across(done: float) -> float:
    """Label of the share of the run that is done: noise on the left, clean on the right."""
    return MARGIN + LEFT + WIDE * done


def strip(
    sheet: Sheet,
    rows: Sequence[dict[str, float]],
    places: Sequence[float],
    top: int,
    colours: dict[str, str],
) -> None:
    """Shares of the classes, one above the other; they stay as they are at the last step."""
    at = [across(done) for done in [*places, 1.0]]
    floor = top + STRIP
    sheet.box((across(0), top, across(1), floor), None, "#bbbbbb")
    names = list(rows[0])
    for num in range(len(names), 0, -1):  # the sums from the highest on, each over the one before
        sums = [sum(row[name] for name in names[:num]) for row in [*rows, rows[-1]]]
        if max(row[names[num - 1]] for row in rows) >= LEAST:
            edge = [(x, floor - STRIP * min(1.0, y)) for x, y in zip(at, sums, strict=True)]
            sheet.area([*edge, (at[-1], floor), (at[0], floor)], colours[names[num - 1]])


def bars(sheet: Sheet, changed: Sequence[Record], top: int) -> None:
    """Share of tokens that changed in each part of the run, in percent."""
    sheet.text((MARGIN + LEFT - 12, top + BARS // 2 - 8), "tokens changed", "rm")
    sheet.text((MARGIN + LEFT - 12, top + BARS // 2 + 8), "in each tenth, %", "rm", FADED)
    for one in changed:
        left, right, share = across(one["from"]) + 1, across(one["to"]) - 1, one["share"]
        y = top + BARS - (BARS - 16) * share
        sheet.box((left, y, right, top + BARS), DARK)
        sheet.text(((left + right) / 2, y - 8), f"{100 * share:.0f}", "mm", FADED)


def axis(sheet: Sheet, y: int) -> None:
    """How much of the run is done, below the bars."""
    sheet.line([(across(0), y), (across(1), y)], DARK)
    for done in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = across(done)
        sheet.line([(x, y), (x, y + 4)], DARK)
        sheet.text((x, y + 13), f"{done:.0%}", "mm", FADED)
    sheet.text((MARGIN + LEFT - 24, y + 13), "steps done, noise to clean", "rm", FADED)


def write_texts(sheet: Sheet, beside: Sequence[tuple[str, float, list[str]]], top: int) -> None:
    """The texts, each with its letter and how much of the run is done."""
    x, y = MARGIN + LEFT + WIDE + BESIDE, top
    for letter, done, lines in beside:
        sheet.text((x, y + LINE // 2), f"{letter}  {done:.0%}", "lm", FADED)
        for n, line in enumerate(lines):
            sheet.text((x + 70, y + LINE // 2 + n * LINE), line, "lm")
        y += len(lines) * LINE + GAP // 2
