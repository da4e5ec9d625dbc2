"""Inputs of `predict`: texts, files, a folder or the standard input."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.labelled_text.source import unreadable
from datamodules.records.document import BadSample, Document, parse, to_document
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import ColumnError, Record, Wanted, cell, has
from datamodules.records.formats.files import FORMATS, bare, file_format, find_files, opened
from datamodules.records.formats.open import read_rows

STDIN = "-"
"""Name of the standard input."""
PLAIN = (".txt", ".text", ".md")
"""Extensions of files that are one text each."""
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
        texts: The texts; a table (`files.FORMATS`) with a text per row under `key`; a `.txt` or
            `.md` file, which is one text; all of them compressed or not; a folder of such files; or
            `-` for the standard input: one text, or JSON lines where its first character is `{`.
        key: Column of the texts in tables.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no text, a table has no such column, or the extension of the file
            is neither that of a table nor that of a text.
    """
    if isinstance(texts, list):
        found = [to_document(text, f"text {i}") for i, text in enumerate(texts, start=1)]
    elif texts == STDIN:
        found = list(read_stdin(sys.stdin.buffer.read(), key))
    elif texts is None:
        raise ValueError("data.init_args.texts names the inputs: texts, a file, a folder or -.")
    else:
        found = list(read_path(texts, key))
    if not found:
        raise ValueError(f"no text in {texts}: data.init_args.texts names the inputs.")
    return [readable(one) for one in found]


def read_path(path: str, key: str) -> Iterator[Document | BadSample]:
    """The texts of a file, a folder or a glob."""
    every = find_files(path)
    for file in every:
        if file_format(file):
            yield from read_table(file, key, len(every))
        elif bare(file).endswith(PLAIN):
            yield attempt(str(file), read_text, file)
        elif len(every) == 1:
            raise ValueError(f"{file} cannot be read: {no_text(file)}.")
        else:
            yield BadSample(str(file), no_text(file))


def no_text(file: Path) -> str:
    """Why nothing is read from a file, in a few words."""
    ending = Path(bare(file)).suffix
    is_named = f"its ending {ending}" if ending else "that it has no ending"
    return (
        f"{is_named} says neither that it is a table ({', '.join(FORMATS)}) nor that it is one "
        f"text ({', '.join(PLAIN)})"
    )


def read_text(file: Path) -> Document | BadSample:
    """The one text of a file."""
    with opened(file) as data:
        return to_document(data.read(), str(file))


def read_table(file: Path, key: str, num_files: int) -> Iterator[Document | BadSample]:
    """The texts of a table, one per row; a missing column is an error if it is the only table."""
    try:
        for place, record in read_rows([file], Wanted([key], optional=[NAME]), named=str):
            yield of_record(record, place, key)
    except ColumnError as error:
        said = f"{error} data.init_args.key names the column of the texts."
        if num_files == 1:
            raise ValueError(said) from error
        yield BadSample(str(file), said)
    except ValueError as error:  # the file cannot be read
        if num_files == 1:
            raise
        yield BadSample(str(file), str(error))


def of_record(record: Record | BadSample, place: str, key: str) -> Document | BadSample:
    """The text of a row."""
    if isinstance(record, BadSample):
        return record
    told = record.get(NAME)
    name = "" if told is None or key == NAME else str(told)
    if not has(record, key):
        return named(BadSample(place, f"no key {key!r}; it has {', '.join(record)}"), name)
    return named(to_document(cell(record, key), place), name)


def read_stdin(data: bytes, key: str) -> Iterator[Document | BadSample]:
    """The texts in some bytes: JSON lines if the first character is `{`, else one text."""
    if data.lstrip()[:1] != b"{":
        yield to_document(data, "stdin")
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            place = f"stdin:{number}"
            record = parse(line, place)
            is_object = isinstance(record, dict | BadSample)
            found = record if is_object else BadSample(place, "not a JSON object")
            yield of_record(found, place, key)  # type: ignore[arg-type]


def readable(found: Document | BadSample) -> Document | BadSample:
    """The document, or a bad sample if it is unreadable."""
    reason = "" if isinstance(found, BadSample) else unreadable(found.text)
    return named(BadSample(found.origin, reason), name_of(found)) if reason else found
