"""Ids of the questions that an unfinished file of answers has answered already."""

from glob import glob
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.errors import BadSampleError
from datamodules.records.indexed_rows import IndexedRows

NUM_SHOWN = 20
"""Broken lines named in a message."""


def answered(path: str) -> set[str]:
    """The ids of the questions that have an answer.

    A truncated or broken line gives a warning; its question will be asked again.

    Args:
        path: A `.jsonl` file or a glob, whose lines have a key `id`; it may be missing.

    Raises:
        ValueError: There are valid lines, but none of them has an id.
    """
    found = [Path(path)] if Path(path).exists() else map(Path, sorted(glob(path, recursive=True)))
    lines = IndexedRows([file for file in found if file.is_file()])
    ids, broken, nameless = set[str](), list[str](), list[str]()
    for index in range(len(lines)):
        try:
            record = lines.record(index)
        except BadSampleError as error:
            broken.append(f"{lines.location(index)} ({error})")
            continue
        if isinstance(record.get("id"), str | int):
            ids.add(str(record["id"]))
        else:
            nameless.append(f"{lines.location(index)} (no 'id' among {', '.join(record)})")
    if nameless and not ids:
        raise ValueError(f"no line of {path} names its question: {nameless[0]}.")
    _tell(path, broken + nameless)
    return ids


def _tell(path: str, bad: list[str]) -> None:
    """Warn of lines that are no answers."""
    if bad:
        more = ", ..." if bad[NUM_SHOWN:] else ""
        rank_zero_warn(
            f"{path}: {len(bad)} lines are no answers, their questions are asked again: "
            f"{'; '.join(bad[:NUM_SHOWN])}{more}."
        )
