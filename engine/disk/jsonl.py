"""Files of JSON lines that a later run goes on with: after a kill they hold whole lines only."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from engine.disk.strict_json import dumps

BLOCK = 1 << 16
"""Bytes that are read at a time, from the end."""


def append(path: Path, records: Iterable[Any]) -> None:
    """Add records to a file, a line each; its folder is made."""
    lines = [dumps(record) + "\n" for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def mend(path: Path) -> bool:
    """Cut off a last line that breaks off, or end one that lacks only its end.

    Returns:
        Whether a line was cut off.
    """
    if not path.is_file():
        return False
    with path.open("rb+") as file:
        last = last_line(file)
        end = file.seek(0, 2)
        if last and is_object(last):
            file.write(b"\n")
        elif last:
            file.truncate(end - len(last))
    return bool(last) and not is_object(last)


def last_line(file: BinaryIO) -> bytes:
    """What stands behind the last end of a line; empty where the file ends with one."""
    start, tail = file.seek(0, 2), b""
    while start and b"\n" not in tail:
        size = min(BLOCK, start)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
    return tail.rpartition(b"\n")[2]


def is_object(line: bytes) -> bool:
    """Whether a line is a whole JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:  # UnicodeDecodeError is one
        return False
