"""Answers in a JSONL file that a run may leave unfinished and the next one resumes."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.disk.jsonl import append, mend, parsed

Record = dict[str, Any]


def answered(path: str | Path, key: str) -> dict[Any, Record]:
    """The records that a file already holds.

    A truncated last line, as after a kill, is skipped with a warning.

    Args:
        path: The file; it need not exist.
        key: Field that identifies the records.

    Returns:
        The records by that field, in order; the first of repeats.

    Raises:
        ValueError: A line before the last one is not a JSON object, or has no such field.
    """
    path = Path(path)
    records: dict[Any, Record] = {}
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    repeats = 0
    for row, line in enumerate(lines, start=1):
        record = parsed(line)
        if record is None and row == len(lines) and line.strip():
            warnings.warn(f"{path}:{row} breaks off; it is answered again.", stacklevel=2)
        elif record is not None and isinstance(record.get(key), str | int):
            repeats += record[key] in records
            records.setdefault(record[key], record)
        elif line.strip():
            raise ValueError(f"{path}:{row} is not a JSON object with a text or number {key!r}.")
    if repeats:
        warnings.warn(f"{path} holds {repeats} repeats of {key!r}; the first counts.", stacklevel=2)
    return records


def answer_all(
    path: str | Path,
    key: str,
    questions: Iterable[Mapping[str, Any]],
    answer: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> list[Record]:
    """Answer what a file does not hold yet; each answer is on disk before the next is computed.

    Args:
        path: The file; its records are kept, except for a truncated last line.
        key: Field that identifies the questions and their records.
        questions: With that field.
        answer: Makes a record of a question; the field is added to it.

    Returns:
        The records of all questions, in their order.

    Raises:
        ValueError: A question has no such field, two share it, or the file cannot be read
            (`answered`).
    """
    questions = list(questions)
    names = keys(questions, key)
    records = answered(path, key)
    mend(Path(path))
    for name, question in zip(names, questions, strict=True):
        if name not in records:
            records[name] = {key: name, **answer(question)}
            append(Path(path), [records[name]])
    return [records[name] for name in names]


def keys(questions: Iterable[Mapping[str, Any]], key: str) -> list[Any]:
    """The key of each question; all different."""
    names = [question.get(key) for question in questions]
    for index, name in enumerate(names, start=1):
        if not isinstance(name, str | int):
            raise ValueError(f"question {index} has no text or number {key!r}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two questions have the {key!r} {twice!r}.")
    return names
