"""From which stance to which: article to summary, gold and generated, and asked to generated.

Shape legend: K = stances. Matrices are int64 [K, K + 1]: rows are the given stance, columns that of
the text; the last column counts texts without a stance, or of several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.summariser.findings.tested import NONE, Row
from modules.transfer.heat_map import heat_map

PAPER = {2: ["left", "lean_left", "none", "lean_right", "right"]}
"""Names of shifts by -2 to 2 units (P^3Sum, tables 1 and 8), by the largest shift."""
GAP = 24
"""Pixels between heat maps."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class StanceMatrix:
    """How often a given stance became which, as one reader says.

    Attributes:
        reader: Its name.
        texts: `gold` or `generated`.
        given: What the rows are: the stance of the `article`, or the one that was `asked`.
        classes: Names of the stances, by index.
        counts: The matrix.
    """

    reader: str
    texts: str
    given: str
    classes: list[str]
    counts: Counts

    @property
    def shares(self) -> NDArray[np.float64]:
        """Shares of each row; NaN where it has no text."""
        total = self.counts.sum(1, keepdims=True).astype(float)
        total[total == 0] = np.nan
        return self.counts / total

    @property
    def followed(self) -> dict[str, float]:
        """Share of each row on the diagonal, by stance; rows without a text are left out."""
        diagonal = np.diagonal(self.shares).tolist()
        return {c: p for c, p in zip(self.classes, diagonal, strict=True) if p == p}

    def rows(self) -> list[Row]:
        """Lines of a CSV: counts and shares."""
        names = [*self.classes, NONE]
        head = {"reader": self.reader, "texts": self.texts, "given": self.given}
        return [
            head
            | {"stance": stance, "num": int(counts.sum())}
            | dict(zip(names, counts.tolist(), strict=True))
            | {f"{n}_share": rounded(p) for n, p in zip(names, shares, strict=True)}
            for stance, counts, shares in zip(self.classes, self.counts, self.shares, strict=True)
        ]

    def shifts(self) -> Row:
        """A line of a CSV: percent of the texts by how far they moved, to the left or right.

        Texts without a stance are counted apart, as `unread`.
        """
        num = len(self.classes)
        moved = [int(np.trace(self.counts[:, :num], by)) for by in range(1 - num, num)]
        total = sum(moved)
        names = PAPER.get(num - 1, [f"{by:+d}" for by in range(1 - num, num)])
        percent = [rounded(100 * one / total, 2) if total else None for one in moved]
        head = {"reader": self.reader, "texts": self.texts, "given": self.given, "num": total}
        return (
            head
            | dict(zip(names, percent, strict=True))
            | {"unread": int(self.counts[:, num].sum())}
        )

    def picture(self) -> Image.Image:
        """A heat map of the shares, with the counts."""
        shares = self.shares
        labels = [
            [f"{n} ({p:.2f})" if n else "" for n, p in zip(*row, strict=True)]
            for row in zip(self.counts.tolist(), shares.tolist(), strict=True)
        ]
        titles = {"gold": "gold summary", "generated": "summary"}
        title = f"{self.reader}: {self.given} to {titles[self.texts]}"
        names = self.classes, [*self.classes, NONE]
        return heat_map(shares, *names, title, 0.0, 1.0, labels=labels)


def rounded(share: float, digits: int = 4) -> float | None:
    """A number for a table; None for none."""
    return None if np.isnan(share) else round(float(share), digits)


def counted(given: Sequence[str], read: Sequence[str], classes: Sequence[str]) -> Counts:
    """The matrix of pairs; those without a given stance, or without a text, are left out."""
    counts = np.zeros((len(classes), len(classes) + 1), np.int64)
    columns = [*classes, NONE]
    for one, other in zip(given, read, strict=True):
        if one in classes and other in columns:
            counts[classes.index(one), columns.index(other)] += 1
    return counts


def matrices(rows: Sequence[Row], reader: str, classes: list[str]) -> list[StanceMatrix]:
    """The matrices of a reader: article to gold and to generated, and asked to generated.

    Each gold summary counts once, however many stances were asked for; the last matrix is there
    where another stance was asked for than the article's.
    """
    golds = list({row["id"]: row for row in rows}.values())
    pairs = [(golds, "gold", "article", "reference"), (rows, "generated", "article", "summary")]
    asked = [row | {f"{reader}_asked": row["asked"]} for row in rows]
    if any(row["asked"] not in ("", row[f"{reader}_article"]) for row in rows):
        pairs.append((asked, "generated", "asked", "summary"))
    found = []
    for some, texts, given, read in pairs:
        before, after = ([row[f"{reader}_{name}"] for row in some] for name in (given, read))
        counts = counted(before, after, classes)
        found.append(StanceMatrix(reader, texts, given, classes, counts))
    return [one for one in found if one.counts.any()]


def beside(images: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows of pictures as one."""
    heights = [max(one.height for one in row) for row in images]
    width = max(sum(one.width + GAP for one in row) for row in images)
    sheet = Image.new("RGB", (width, sum(heights) + GAP * (len(images) - 1)), "white")
    y = 0
    for row, size in zip(images, heights, strict=True):
        x = 0
        for one in row:
            sheet.paste(one, (x, y))
            x += one.width + GAP
        y += size + GAP
    return sheet
