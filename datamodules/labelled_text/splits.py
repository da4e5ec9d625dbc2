"""Splits of the data: no text may be in two of them, and a table without splits gets some.

Two rows are of one text if they share their `pair_id`, if both are human and start with the
same 100 characters, or if all of their characters are equal. Spaces are ignored.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose

from datamodules.labelled_text.source import LabelledRow
from datamodules.stream.order import apportion

OPENING = 100
"""Number of characters that identify a human text: its truncations differ at the end only."""
NUM_SHOWN = 20
"""Maximum number of texts in a message."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Leak:
    """A text that is in two splits.

    Attributes:
        first: Its first row.
        second: The first one that is in another split.
    """

    first: LabelledRow
    second: LabelledRow

    def __str__(self) -> str:
        """The message about the two rows."""
        first, second = self.first, self.second
        is_human = first.is_human or first.pair_id == second.pair_id
        begin = " ".join(first.text.split())[:60]
        return (
            f'the {"human text" if is_human else "text"} {first.pair_id} ("{begin}...") occurs in '
            f"two splits: {first.split} ({first.origin}) and {second.split} ({second.origin})"
        )


def keys(row: LabelledRow) -> tuple[Key, Key]:
    """Keys that identify the text of a row."""
    text = " ".join(row.text.split())
    return ("pair", row.pair_id), ("human", text[:OPENING]) if row.is_human else ("text", text)


def check_splits(rows: Sequence[LabelledRow], splits: Collection[str]) -> None:
    """Raise unless every text, and every human text with all its continuations, is in one split.

    Args:
        rows: All rows.
        splits: The splits that are used; other rows are ignored.

    Raises:
        ValueError: Some texts are in two splits; the message counts and lists them.
    """
    found = leaks(rows, splits)
    if not found:
        return
    told = "; ".join(map(str, found[:NUM_SHOWN]))
    more = f"; and {len(found) - NUM_SHOWN} more" if len(found) > NUM_SHOWN else ""
    count = "1 text occurs" if len(found) == 1 else f"{len(found)} texts occur"
    raise ValueError(
        f"{count} in more than one split: {told}{more}. `data.init_args.leaks: drop` leaves such "
        "rows out of training, and out of validation where they are tested."
    )


def leaks(rows: Sequence[LabelledRow], splits: Collection[str]) -> list[Leak]:
    """Each text that is in two of these splits, once."""
    used = [row for row in rows if row.split in splits]
    found = []
    for group in groups(used):
        first = used[group[0]]
        other = next((used[i] for i in group if used[i].split != first.split), None)
        if other is not None:
            found.append(Leak(first, other))
    return found


def without_leaks(
    rows: Sequence[LabelledRow], splits: Sequence[str]
) -> tuple[list[LabelledRow], dict[str, int]]:
    """The rows; those that are in a more important split as well lose their split.

    Args:
        rows: All rows.
        splits: The splits that are used, the most important first.

    Returns:
        The same number of rows, and how many of each split have lost it.
    """
    kept, lost = list(rows), dict.fromkeys(splits, 0)
    used = [i for i, row in enumerate(rows) if row.split in splits]
    for group in groups([rows[i] for i in used]):
        best = min((rows[used[i]].split for i in group), key=splits.index)
        for i in (used[i] for i in group if rows[used[i]].split != best):
            lost[rows[i].split] += 1
            kept[i] = replace(rows[i], split="")
    return kept, {name: num for name, num in lost.items() if num}


def with_splits(rows: Sequence[LabelledRow], shares: Mapping[str, float]) -> list[LabelledRow]:
    """Assign a split to rows without one; all rows of a text get the same.

    The split follows from a hash of the text, and for each set of labels of the rows of a text the
    shares hold as closely as possible. If some rows of a text have a split, the others get it.

    Args:
        rows: All rows.
        shares: Share of the texts of each split.
    """
    found = list(rows)
    strata: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for group in groups(rows):
        given = [rows[i].split for i in group if rows[i].split]
        if given:
            put(found, group, given[0])
        else:
            strata[tuple(sorted({rows[i].label for i in group}))].append(group)
    for texts in strata.values():
        texts.sort(key=lambda group: min(hashed(rows[i]) for i in group))
        names = [n for n, count in quotas(len(texts), shares).items() for _ in range(count)]
        for group, name in zip(texts, names, strict=True):
            put(found, group, name)
    return found


def put(rows: list[LabelledRow], places: Sequence[int], split: str) -> None:
    """Assign a split to the rows without one."""
    for i in places:
        rows[i] = replace(rows[i], split=rows[i].split or split)


def quotas(num: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Number of texts per split; with few texts, the largest splits come first."""
    names = sorted(shares, key=lambda name: -shares[name])[:num]
    return dict(zip(names, apportion(num, [shares[name] for name in names]), strict=True))


def hashed(row: LabelledRow) -> bytes:
    """Sort key of the shuffled texts, the same in every run."""
    return hashlib.blake2b(row.pair_id.encode(), digest_size=8).digest()


def check_fractions(shares: Mapping[str, float]) -> None:
    """Raise a ValueError unless the shares are positive and sum to 1."""
    if not shares or min(shares.values()) <= 0 or not isclose(sum(shares.values()), 1):
        told = ", ".join(f"{name}: {share:g}" for name, share in shares.items())
        raise ValueError(f"splits must be shares above 0 that sum to 1, got {{{told}}}.")


def groups(rows: Sequence[LabelledRow]) -> list[list[int]]:
    """Indices of the rows of each text, in order."""
    parent = list(range(len(rows)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[Key, int] = {}
    for i, row in enumerate(rows):
        for key in keys(row):
            one, other = sorted((top(i), top(seen.setdefault(key, i))))
            parent[other] = one
    found: dict[int, list[int]] = defaultdict(list)
    for i in range(len(rows)):
        found[top(i)].append(i)
    return list(found.values())
