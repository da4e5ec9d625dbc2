"""Inputs of `predict` as documents, with their names."""

from dataclasses import dataclass

from datamodules.records.document import BadSample, Document, to_document, unreadable
from datamodules.records.formats.columns import Record, Wanted, cell, has
from datamodules.text.inputs import input_rows

NAME = "id"
"""Optional column that names a text."""


@dataclass(frozen=True)
class NamedDocument(Document):
    """A text of a table.

    Attributes:
        name: What the table calls it in its column `id`; empty where it does not.
    """

    name: str = ""


@dataclass(frozen=True)
class NamedBadSample(BadSample):
    """A row of a table that cannot be scored.

    Attributes:
        name: What the table calls it in its column `id`; empty where it does not.
    """

    name: str = ""


def named(found: Document | BadSample, name: str) -> Document | BadSample:
    """The same with its name, if it has one."""
    if not name:
        return found
    if isinstance(found, BadSample):
        return NamedBadSample(found.origin, found.reason, name)
    return NamedDocument(found.text, found.origin, found.num_bytes, name)


def name_of(found: Document | BadSample) -> str:
    """The name of a document or bad sample; empty if it has none."""
    return found.name if isinstance(found, NamedDocument | NamedBadSample) else ""


def read_inputs(texts: list[str] | str | None, key: str = "text") -> list[Document | BadSample]:
    """Texts and bad samples, in order.

    Args:
        texts: The texts, a file, a folder or `-`, as of `datamodules.text.inputs.input_rows`.
        key: Column of the texts in tables.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no text, a table has no such column, or the extension of the file
            is neither that of a table nor that of a text.
    """
    rows = input_rows(texts, key, Wanted([key], optional=[NAME]))
    return [readable(of_record(record, place, key)) for place, record in rows]


def of_record(record: Record | BadSample, place: str, key: str) -> Document | BadSample:
    """The text of a row."""
    if isinstance(record, BadSample):
        return record
    told = record.get(NAME)
    name = "" if told is None or key == NAME else str(told)
    if not has(record, key):
        return named(BadSample(place, f"no key {key!r}; it has {', '.join(record)}"), name)
    return named(to_document(cell(record, key), place), name)


def readable(found: Document | BadSample) -> Document | BadSample:
    """The document, or a bad sample if it is unreadable."""
    reason = "" if isinstance(found, BadSample) else unreadable(found.text)
    return named(BadSample(found.origin, reason), name_of(found)) if reason else found
