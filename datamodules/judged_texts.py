"""Texts that `predict` judges: given, from files, from a folder or from the standard input."""

import sys
from collections.abc import Iterator
from pathlib import Path

from datamodules.documents import Document, Reject, judge, parse
from datamodules.labelled_text import unreadable
from datamodules.roots import missing

STDIN = "-"
"""Stands for the standard input."""


def read_judged(texts: list[str] | str | None, key: str = "text") -> list[Document | Reject]:
    """Texts, and what cannot be judged with the reason, in order.

    Args:
        texts: The texts; or a `.jsonl` file with a text a line under `key`, any other file as one
            text, a folder of such files, or `-` for the standard input: one text, or JSON lines
            where its first character is `{`.
        key: Key of a text in JSON lines.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no text at all.
    """
    if isinstance(texts, list):
        found = [judge(text, f"text {number}") for number, text in enumerate(texts, start=1)]
    elif texts == STDIN:
        found = list(read_bytes(sys.stdin.buffer.read(), "stdin", key, None))
    else:
        found = [one for file in files(texts) for one in read_file(file, key)]
    if not found:
        raise ValueError(f"no text in {texts}: data.init_args.texts says what is judged.")
    return [readable(one) for one in found]


def files(texts: str | None) -> list[Path]:
    """The file, or all files of the folder."""
    if texts is None:
        raise ValueError("data.init_args.texts says what is judged: texts, a file, a folder or -.")
    path = Path(texts)
    if not path.exists():
        raise missing(texts)
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def read_file(file: Path, key: str) -> Iterator[Document | Reject]:
    """The texts of a file."""
    return read_bytes(file.read_bytes(), str(file), key, file.suffix == ".jsonl")


def read_bytes(
    data: bytes, name: str, key: str, is_json: bool | None
) -> Iterator[Document | Reject]:
    """The texts in some bytes: JSON lines, or one text; where None, the first character tells."""
    if not (data.lstrip()[:1] == b"{" if is_json is None else is_json):
        yield judge(data.removeprefix(b"\xef\xbb\xbf"), name)
        return
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            yield read_line(line, f"{name}:{number}", key)


def read_line(line: bytes, place: str, key: str) -> Document | Reject:
    """The text of a line of JSON."""
    record = parse(line, place)
    if isinstance(record, Reject):
        return record
    if not isinstance(record, dict) or key not in record:
        keys = f"; it has {', '.join(record)}" if isinstance(record, dict) else ""
        return Reject(place, f"no key {key!r}{keys}")
    return judge(record[key], place)


def readable(found: Document | Reject) -> Document | Reject:
    """The document, if it can be read."""
    reason = "" if isinstance(found, Reject) else unreadable(found.text)
    return Reject(found.origin, reason) if reason else found
