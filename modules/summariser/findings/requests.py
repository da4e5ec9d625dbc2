"""The same article in several stances: does the summary follow the request, does the rest stay?"""

from collections.abc import Sequence
from itertools import combinations

from modules.metrics.text.rouge import USUAL, rouge
from modules.summariser.findings.stance_changes import rounded
from modules.summariser.findings.tested import Row

FIXED = ("id", "stance", "asked", "summary", "reference")
"""Columns of a row that are no quantity."""


def of_one_article(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each article that more than one stance was asked for."""
    groups = dict[str, list[Row]]()
    for row in rows:
        groups.setdefault(row["id"], []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def by_request(rows: Sequence[Row], stances: Sequence[str], readers: Sequence[str]) -> list[Row]:
    """A row an asked stance: how often each reader reads it, and the means of all quantities."""
    asked = {one: [row for row in rows if row["asked"] == one] for one in stances}
    names = [name for name, value in merged(rows).items() if isinstance(value, float)]
    return [
        {"asked": stance, "num": len(some)}
        | {f"{one}_follows": followed(some, one) for one in readers}
        | {name: mean([row[name] for row in some if name in row]) for name in names}
        for stance, some in asked.items()
        if some
    ]


def merged(rows: Sequence[Row]) -> Row:
    """Every key of some rows, with one of its values."""
    found: Row = {}
    for row in rows:
        found |= row
    return {name: value for name, value in found.items() if name not in FIXED}


def followed(rows: Sequence[Row], reader: str) -> float | None:
    """Share of the summaries in which a reader reads what was asked for."""
    return mean([float(row[f"{reader}_summary"] == row["asked"]) for row in rows])


def mean(values: Sequence[float]) -> float | None:
    """Mean of some numbers; None of none."""
    return rounded(sum(values) / len(values), 6) if values else None


def by_pair(groups: Sequence[Sequence[Row]], stances: Sequence[str]) -> list[Row]:
    """A row a pair of asked stances: how alike the two summaries of an article are.

    Returns:
        `num` pairs, the share of those that are the `same` text, and mean F1 of ROUGE.
    """
    found = []
    for one, other in combinations(stances, 2):
        texts = [{row["asked"]: row["summary"] for row in group} for group in groups]
        pairs = [(text[one], text[other]) for text in texts if one in text and other in text]
        if pairs:
            found.append({"asked": one, "other": other, "num": len(pairs)} | alike(pairs))
    return found


def alike(pairs: Sequence[tuple[str, str]]) -> Row:
    """How alike pairs of texts are, on average."""
    scores = [rouge(one, [other]) for one, other in pairs]
    found = {name: mean([one[name].f1 for one in scores]) for name in USUAL}
    return {"same": mean([float(one == other) for one, other in pairs])} | found
