"""Inputs of `predict` as rows: texts, files, a folder or the standard input."""

import sys
from collections.abc import Iterator
from pathlib import Path

from datamodules.records.document import BadSample, parse, to_document
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import ColumnError, Wanted
from datamodules.records.formats.files import FORMATS, bare, file_format, find_files, opened
from datamodules.records.formats.json import NO_OBJECT
from datamodules.records.formats.open import Row, read_rows
from datamodules.records.remote.file import File

STDIN = "-"
"""Name of the standard input."""
PLAIN = (".txt", ".text", ".md")
"""Extensions of files that are one text each."""


def input_rows(texts: list[str] | str | None, key: str, wanted: Wanted) -> list[Row]:
    """Rows of inputs, in order; a text without a table is a row with the text under `key`.

    Args:
        texts: The texts; a table (`files.FORMATS`) with a text per row; a `.txt` or `.md` file,
            which is one text; all of them compressed or not; a folder of such files; or `-` for
            the standard input: one text, or JSON lines where its first character is `{`.
        key: Column of the texts.
        wanted: Columns of tables.

    Returns:
        Origin of each, such as `text 1` or `news.jsonl:17`, and its cells or a bad sample.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no text, a table lacks a column, or the extension of the file is
            neither that of a table nor that of a text.
    """
    if isinstance(texts, list):
        found = [_text(text, f"text {i}", key) for i, text in enumerate(texts, start=1)]
    elif texts == STDIN:
        found = list(_stdin(sys.stdin.buffer.read(), key))
    elif texts is None:
        raise ValueError("data.init_args.texts names the inputs: texts, a file, a folder or -.")
    else:
        found = list(_path(texts, key, wanted))
    if not found:
        raise ValueError(f"no text in {texts}: data.init_args.texts names the inputs.")
    return found


def _text(text: str | bytes, origin: str, key: str) -> Row:
    """The row of a text."""
    found = to_document(text, origin)
    return origin, found if isinstance(found, BadSample) else {key: found.text}


def _path(path: str, key: str, wanted: Wanted) -> Iterator[Row]:
    """The rows of a file, a folder or a glob."""
    every = find_files(path)
    for file in every:
        if file_format(file):
            yield from _table(file, wanted, len(every))
        elif bare(file).endswith(PLAIN):
            read = attempt(str(file), _file, file, key)
            yield (str(file), read) if isinstance(read, BadSample) else read
        elif len(every) == 1:
            raise ValueError(f"{file} cannot be read: {_no_text(file)}.")
        else:
            yield str(file), BadSample(str(file), _no_text(file))


def _no_text(file: File) -> str:
    """Why nothing is read from a file, in a few words."""
    ending = Path(bare(file)).suffix
    is_named = f"its ending {ending}" if ending else "that it has no ending"
    return (
        f"{is_named} says neither that it is a table ({', '.join(FORMATS)}) nor that it is one "
        f"text ({', '.join(PLAIN)})"
    )


def _file(file: File, key: str) -> Row:
    """The row of a file that is one text."""
    with opened(file) as data:
        return _text(data.read(), str(file), key)


def _table(file: File, wanted: Wanted, num_files: int) -> Iterator[Row]:
    """The rows of a table; a missing column is an error if it is the only one."""
    try:
        yield from read_rows([file], wanted, named=str)
    except ColumnError as error:
        said = f"{error} data.init_args.key names the column of the texts."
        if num_files == 1:
            raise ValueError(said) from error
        yield str(file), BadSample(str(file), said)
    except ValueError as error:  # the file cannot be read
        if num_files == 1:
            raise
        yield str(file), BadSample(str(file), str(error))


def _stdin(data: bytes, key: str) -> Iterator[Row]:
    """The rows in some bytes: JSON lines if the first character is `{`, else one text."""
    if data.lstrip()[:1] != b"{":
        yield _text(data, "stdin", key)
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            place = f"stdin:{number}"
            found = parse(line, place)
            is_row = isinstance(found, dict | BadSample)
            yield place, found if is_row else BadSample(place, NO_OBJECT)  # type: ignore[misc]
