"""Files of JSON lines that a later run continues: a kill costs the last line at most."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from engine.disk.strict_json import dumps

BLOCK = 1 << 16
"""Bytes that are read at a time, from the end of a file."""


def append(path: Path, records: Iterable[Any]) -> None:
    """Add records to a file, a line of strict JSON each; its folder is made."""
    lines = [dumps(record) + "\n" for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def mend(path: Path) -> bool:
    """Remove an incomplete last line, or end one that lacks only its newline.

    Returns:
        Whether a line was removed.
    """
    if not path.is_file():
        return False
    with path.open("rb+") as file:
        last = last_line(file)
        end = file.seek(0, 2)
        if last and parsed(last) is not None:
            file.write(b"\n")
        elif last:
            file.truncate(end - len(last))
    return bool(last) and parsed(last) is None


def last_line(file: BinaryIO) -> bytes:
    """The bytes after the last newline; empty where the file ends with one."""
    start, tail = file.seek(0, 2), b""
    while start and b"\n" not in tail:
        size = min(BLOCK, start)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
    return tail.rpartition(b"\n")[2]


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None where it is none."""
    try:
        record = json.loads(line)
    except ValueError:  # UnicodeDecodeError is one
        return None
    return record if isinstance(record, dict) else None
