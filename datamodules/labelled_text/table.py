"""Labelled texts of several sources as one table, and the items of a batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.labelled_text.attacks import Attack
from datamodules.labelled_text.inputs import name_of
from datamodules.labelled_text.source import AS_IT_IS, LabelledRow, LabelledSource
from datamodules.labelled_text.splits import check_splits, with_splits, without_leaks
from datamodules.labelled_text.windows import NO_LABEL, Item, Tokens
from datamodules.records.document import BadSample, Document
from datamodules.text.derived.plain import PlainSource, plain
from datamodules.text.source import TextSource
from datamodules.text.token_file import TokenFile

METADATA = ("pair_id", "generator", "paired_generator", "domain")
"""Metadata of a text, besides its attack and origin."""


class TextTable:
    """The usable rows of all sources; their indices continue from one source to the next.

    Args:
        sources: The sources.
        classes: Names of the classes, by index.
        is_plain: Whether texts are read in plain characters (`datamodules.text.derived.plain`).
        shares: Share of the texts of each split, for rows without one; they stay without a split if
            None.
        dropped: Splits, the most important first, of which a text keeps only the first; None
            refuses a text in two splits.
    """

    def __init__(
        self,
        sources: Sequence[LabelledSource],
        classes: Sequence[str],
        is_plain: bool,
        shares: Mapping[str, float] | None = None,
        dropped: Sequence[str] | None = None,
    ):
        self.sources = list(sources)
        self.shares = shares
        self.dropped = dropped
        self.classes = list(classes)
        self.is_plain = is_plain
        self._checked: set[str] = set()

    @cached_property
    def rows(self) -> list[LabelledRow]:
        """All rows.

        Raises:
            ValueError: A label is not a class, or all rows have a split already.
        """
        rows = [row for source in self.sources for row in source.rows]
        for row in rows:
            if row.label not in self.classes:
                known = ", ".join(self.classes)
                raise ValueError(f"{row.origin}: label {row.label!r} is none of {known}.")
        return self._parted([replace(row, text=self.written(row.text)) for row in rows])

    def _parted(self, rows: list[LabelledRow]) -> list[LabelledRow]:
        """The rows with their splits assigned."""
        if self.shares is not None:
            if rows and all(row.split for row in rows):
                known = ", ".join(sorted({row.split for row in rows}))
                raise ValueError(
                    f"splits says how rows without a split are parted, but all have one: {known}."
                )
            rows = with_splits(rows, self.shares)
        if self.dropped is not None:
            rows, lost = without_leaks(rows, self.dropped)
            for name, num in lost.items():
                rank_zero_warn(
                    f"{num} rows of {name} are left out: their texts are in another split too."
                )
        return rows

    @property
    def texts(self) -> list[TextSource]:
        """Sources of the texts of the rows, in the same order."""
        return [PlainSource(one) if self.is_plain else one for one in self.sources]

    def check_splits(self, splits: Collection[str]) -> None:
        """Raise a ValueError if a text is in two of these splits."""
        if not self._checked >= set(splits):
            check_splits(self.rows, splits)
            self._checked |= set(splits)

    def tokens(self, row: int, files: Sequence[TokenFile]) -> Tokens:
        """Token ids of a row, by the token files of `texts`."""
        for source, file in zip(self.sources, files, strict=True):
            if row < len(source.rows):
                return np.asarray(file.tokens[file.offsets[row] : file.offsets[row + 1]], np.int64)
            row -= len(source.rows)
        raise IndexError(f"there is no row {row}")

    def item(self, number: int, attack: Attack | None = None) -> Item:
        """A row, unchanged or attacked."""
        row = self.rows[number]
        done = row.attack if attack is None else attack.name
        metadata = {name: getattr(row, name) for name in METADATA} | {
            "attack": done,
            "origin": row.origin,
        }
        text = row.text if attack is None else self.written(attack(row.text))
        return Item(text, self.classes.index(row.label), number, metadata, is_row=attack is None)

    def input_item(self, number: int, found: Document | BadSample) -> Item:
        """An input of predict, or the reason why it cannot be scored."""
        metadata = dict.fromkeys(METADATA, "") | {"attack": AS_IT_IS, "origin": found.origin}
        metadata["id"] = name_of(found)
        if isinstance(found, BadSample):
            return Item("", NO_LABEL, number, metadata, problem=found.reason)
        return Item(self.written(found.text), NO_LABEL, number, metadata)

    def written(self, text: str) -> str:
        """A text in the characters in which it is tokenised."""
        return plain(text) if self.is_plain else text
