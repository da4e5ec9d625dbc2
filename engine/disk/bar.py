"""Progress bars on stderr, all of one kind."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds of work after which the bar of `watched` appears."""
LINE_SECONDS = 30.0
"""Between two drawings where there is no terminal, such as in the log of a cluster."""


def has_terminal() -> bool:
    """Whether stderr is a terminal, on which a bar can be drawn."""
    return sys.stderr.isatty()


def bar(
    total: int | None,
    unit: str,
    text: str = "",
    start: int = 0,
    leave: bool = True,
    quiet: bool = False,
) -> Any:
    """A bar of tqdm, to be updated and closed by the caller; drawn on a terminal only.

    Args:
        total: Number of units, if that is known.
        unit: What is counted, in the singular.
        text: What is done with them.
        start: Units that are done already.
        leave: Whether the bar stays on the screen once it is closed.
        quiet: Whether it is not drawn at all.
    """
    return tqdm(
        total=total,
        desc=text or None,
        unit=unit,
        initial=start,
        leave=leave,
        disable=quiet or not has_terminal(),
        dynamic_ncols=True,
    )


def watched(items: Iterable[T], unit: str, text: str, total: int | None = None) -> Iterator[T]:
    """Pass items on and show a bar if that takes long; in a log it is written twice a minute."""
    seconds = 0.1 if has_terminal() else LINE_SECONDS
    yield from tqdm(items, text, total, unit=unit, delay=PATIENCE, mininterval=seconds)
