"""Tables of labelled texts: label, generator, domain and pair of each."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from datamodules.records.document import BadSample, Document, to_document, unreadable
from datamodules.records.formats.columns import Record, Wanted, cell, has
from datamodules.records.formats.files import FORMATS, file_format, find_files
from datamodules.records.formats.open import Row, read_rows
from datamodules.records.labels import Labels, is_missing
from datamodules.records.remote.file import File
from datamodules.text.normalise import HiddenNames
from datamodules.text.source import FileText, TextSource

FIELDS = ("text", "label", "generator", "domain", "pair_id", "paired_generator", "split", "attack")
"""Fields of a text; only the first two are required."""
HUMAN = "human"
"""Label of human texts."""
AS_IT_IS = "none"
"""Attack of an unchanged text."""
KEPT = 4
"""Number of sources whose rows are cached."""


@dataclass(frozen=True)
class LabelledRow:
    """A text and its fields.

    Attributes:
        text: The text.
        label: Name of its class, such as `human`.
        origin: File and row, counted from 1.
        generator: Its author; empty if unknown.
        domain: Its topic; empty if unknown.
        pair_id: Id of the human text that it is or continues.
        paired_generator: Generator of its pair; empty if unknown.
        split: Its split; empty if unknown.
        attack: Attack on it; `none` for an unchanged text.
    """

    text: str
    label: str
    origin: str
    generator: str = ""
    domain: str = ""
    pair_id: str = ""
    paired_generator: str = ""
    split: str = ""
    attack: str = AS_IT_IS

    @property
    def is_human(self) -> bool:
        """Whether a person wrote it."""
        return self.label == HUMAN


class LabelledSource(TextSource):
    """A named source of labelled texts."""

    @property
    @abstractmethod
    def rows(self) -> list[LabelledRow]:
        """The usable rows, in the order of `documents`."""


class LabelledText(FileText, LabelledSource):
    """Texts with labels from tables: Parquet, Arrow, CSV, TSV or JSON, compressed or not.

    Rows without a text but with a `problem`, where a generator failed, are skipped.

    Args:
        path: A file, a folder (every such file below it) or a glob.
        labels: Class of each label of the file, such as `{"1": human, "0": machine}`; "*" is used
            for all that are not named, as in `{human: human, "*": machine}`; None takes labels as
            they are.
        columns: Column of each field whose column has a different name: `text`, `label`,
            `generator`, `domain`, `pair_id`, `paired_generator`, `split`, `attack`; `data.text` is
            the entry `text` of a column `data`.
        values: Fields that are the same for all rows, such as `{split: train}`.
        delimiter: Separator of CSV cells; None follows the file's extension.
        skip_words: Number of first words of every text that are removed, such as a prompt that
            human and machine text share.
        hide: Names that texts must not give away.
        weight: Not used; all texts are drawn with equal weight.

    Raises:
        ValueError: `columns` or `values` name an unknown field.
    """

    endings: ClassVar[tuple[str, ...]] = tuple(FORMATS)
    kinds: ClassVar[tuple[str, ...]] = FIELDS
    _read: ClassVar[dict[str, list[LabelledRow | BadSample]]] = {}
    """Rows that this process has read, by fingerprint: the runs of a grid read the same files."""

    def __init__(
        self,
        path: str,
        labels: dict[str, str] | None = None,
        columns: dict[str, str] | None = None,
        values: dict[str, str] | None = None,
        delimiter: str | None = None,
        skip_words: int = 0,
        hide: HiddenNames | None = None,
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        self.labels = labels
        self.meaning = Labels(labels)
        self.columns = columns or {}
        self.values = values or {}
        self.delimiter = delimiter
        self.skip_words = skip_words
        self.hide = hide
        for name in [*self.columns, *self.values]:
            if name not in FIELDS:
                raise ValueError(f"{name!r} is no field of a text; those are {', '.join(FIELDS)}.")

    @override
    def files(self) -> list[File]:
        found = find_files(self.path, self.endings)
        readable = [file for file in found if file_format(file)]
        if not readable:
            raise ValueError(f"{found[0]} is no table: it must end in one of {', '.join(FORMATS)}.")
        return readable

    @override
    def options(self) -> list[object]:
        return [
            sorted(map(repr, (self.labels or {}).items())),
            self.columns,
            self.values,
            self.delimiter,
            self.skip_words,
            *([] if self.hide is None else self.hide.options),
        ]

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        for row in self._all:
            yield row if isinstance(row, BadSample) else Document(row.text, row.origin)

    @cached_property
    @override
    def rows(self) -> list[LabelledRow]:
        return [row for row in self._all if isinstance(row, LabelledRow)]

    @cached_property
    def _all(self) -> list[LabelledRow | BadSample]:
        key = self.fingerprint()
        if key not in self._read:
            if len(self._read) == KEPT:
                del self._read[next(iter(self._read))]
            cells = ((one, origin) for origin, one in self._cells() if not says_why(one))
            self._read[key] = [self._row(one, origin) for one, origin in cells]
        return self._read[key]

    def _cells(self) -> Iterator[Row]:
        """Origin and fields of every row."""
        needed = [self.columns.get(name, name) for name in ("text", "label")]
        needed += self.columns.values()
        absent = {self.columns.get(name, name) for name in self.values}
        needed = [name for name in dict.fromkeys(needed) if name not in absent]
        more = [name for name in (*FIELDS, "problem") if name not in needed]
        yield from read_rows(self.files(), Wanted(needed, needed, more, self.delimiter))

    def _row(self, cells: Record | BadSample, origin: str) -> LabelledRow | BadSample:
        if isinstance(cells, BadSample):
            return cells
        found = {name: self._field(cells, name) for name in FIELDS}
        document = to_document(found["text"], origin)
        if isinstance(document, BadSample):
            return BadSample(origin, document.reason)  # a blank one counts as bad here
        text = without_words(document.text, self.skip_words)
        text = text if self.hide is None else self.hide.hide(text)
        if reason := unreadable(text):
            return BadSample(origin, reason)
        if is_missing(found["label"]):
            return BadSample(origin, "no label")
        label = self.meaning(found["label"], origin)
        told = {name: told_by(found[name]) for name in FIELDS[2:]}
        return LabelledRow(text, label, origin, **completed(told, text, label))

    def _field(self, cells: Record, name: str) -> object:
        """Value of a field in a row; None if it is missing."""
        if name in self.values:
            return self.values[name]
        column = self.columns.get(name, name)
        return cell(cells, column) if has(cells, column) else None


def told_by(value: object) -> str:
    """A field as text, empty if missing; an integer has no decimal point."""
    if is_missing(value):
        return ""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)  # type: ignore[call-overload]


def says_why(cells: Record | BadSample) -> bool:
    """Whether a row only records why there is no text, as when a generator failed."""
    return not isinstance(cells, BadSample) and bool(cells.get("problem")) and not cells.get("text")


def without_words(text: str, num: int) -> str:
    """A text without its first words."""
    return re.sub(rf"^\s*(?:\S+\s+){{0,{num}}}", "", text, count=1) if num else text


def completed(told: dict[str, str], text: str, label: str) -> dict[str, str]:
    """Fields of a row, with defaults derived from other fields.

    A text without a pair id gets one from its hash; equal texts share it.
    """
    pair = told["pair_id"] or hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
    generator = told["generator"] or (HUMAN if label == HUMAN else "")
    paired = told["paired_generator"] or ("" if label == HUMAN else generator)
    told = {**told, "attack": told["attack"] or AS_IT_IS}
    return told | {"pair_id": pair, "generator": generator, "paired_generator": paired}
