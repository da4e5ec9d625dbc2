"""Refuses data in which a text stands in two splits."""

from collections.abc import Collection, Iterable

from datamodules.labelled_text import LabelledRow

OPENING = 100
"""Characters by which a human text is known: its cuts differ in their ends only."""


def check_splits(rows: Iterable[LabelledRow], splits: Collection[str]) -> None:
    """Raise unless every text, and every human text with all that continues it, is in one split.

    Two rows are of one human text where they share their `pair_id`, or are both human and begin
    with the same 100 characters; others are the same where all of their characters are. Spaces do
    not count.

    Args:
        rows: All rows.
        splits: The splits that are used; other rows do not matter.

    Raises:
        ValueError: Names the text, both splits and both rows.
    """
    seen: dict[tuple[str, str], LabelledRow] = {}
    for row in rows:
        if row.split not in splits:
            continue
        text = " ".join(row.text.split())
        words = ("human", text[:OPENING]) if row.is_human else ("text", text)
        for key in (("pair", row.pair_id), words):
            first = seen.setdefault(key, row)
            if first.split != row.split:
                raise ValueError(describe(first, row))


def describe(first: LabelledRow, second: LabelledRow) -> str:
    """What is the matter with two rows."""
    kind = "human text" if first.is_human or first.pair_id == second.pair_id else "text"
    begin = " ".join(first.text.split())[:60]
    return (
        f'the {kind} {first.pair_id} ("{begin}...") stands in two splits: {first.split} '
        f"({first.origin}) and {second.split} ({second.origin})."
    )
