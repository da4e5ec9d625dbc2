"""Rows of JSON: an object a line, or one array of objects, or one object in several lines."""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from datamodules.records.document import BadSample, parse
from datamodules.records.errors import BadSampleError
from datamodules.records.formats.columns import Record, Wanted, absent, has
from datamodules.records.formats.files import bare, opened, refuse_encodings
from datamodules.records.remote.file import File

Numbered = Iterator[tuple[int, Record | BadSample]]
NUM_SURE = 100
"""Rows none of which has a column: then the column is taken for missing."""
NO_OBJECT = "not a JSON object"
"""Reason for a line or an entry of another type."""
BYTE_MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


def json_rows(file: File, wanted: Wanted) -> Numbered:
    """Rows with the number of their line or array entry, from 1; blank lines give no row.

    Lines end at a line feed only: a text may contain other line separators.
    """
    with opened(file) as source:
        yield from _having(_values(file, source), wanted.needed, file)


def is_blank(line: bytes) -> bool:
    """Whether a line is blank."""
    return not line.removeprefix(BYTE_MARK).strip()


def is_one_a_line(file: File, first: bytes) -> bool:
    """Whether each line of a file is a row, by its first line that is not blank."""
    start = first.removeprefix(BYTE_MARK).strip()
    if bare(file).endswith((".jsonl", ".ndjson")):
        return start != b"[" and not start.startswith(b"[{")
    return start != b"{" and not start.startswith(b"[")


def _values(file: File, source: BinaryIO) -> Numbered:
    lines = enumerate(source, start=1)
    full = ((number, line) for number, line in lines if not is_blank(line))
    first = next(full, None)
    if first is None:
        return
    refuse_encodings(first[1])
    if is_one_a_line(file, first[1]):
        for number, line in chain([first], full):
            yield number, _object(parse(line, ""))
    else:
        for number, value in enumerate(_whole(first[1] + source.read()), start=1):
            yield number, _object(value)


def _object(value: object) -> Record | BadSample:
    return value if isinstance(value, dict | BadSample) else BadSample("", NO_OBJECT)


def _whole(data: bytes) -> list[object]:
    """The rows of a file that is one array or one object."""
    value = parse(data, "")
    if isinstance(value, BadSample):
        raise BadSampleError(f"{value.reason}: it begins as one array or object in several lines")
    return value if isinstance(value, list) else [value]


def _having(rows: Numbered, needed: list[str], file: File) -> Numbered:
    """The rows, if one of the first has the needed columns.

    Raises:
        ColumnError: None has it.
    """
    waiting: list[tuple[int, Record | BadSample]] = []
    readable: list[Record] = []
    for number, record in rows if needed else ():
        waiting.append((number, record))
        if isinstance(record, dict):
            readable.append(record)
            if all(has(record, column) for column in needed):
                break
        if len(waiting) == NUM_SURE:
            break
    for column in needed if readable else []:
        if not any(has(record, column) for record in readable):
            absent(column, readable[0], file)
    yield from chain(waiting, rows)
