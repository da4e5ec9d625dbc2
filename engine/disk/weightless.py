"""Whether files of weights are read, or shapes are enough.

Whoever reads a model's weights asks `is_weightless`; whoever only counts them says so by
`weightless`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHAPES_ONLY: ContextVar[bool] = ContextVar("shapes_only", default=False)


@contextmanager
def weightless() -> Iterator[None]:
    """Within it, models are built after their configs, and no weight is read."""
    before = _SHAPES_ONLY.set(True)
    try:
        yield
    finally:
        _SHAPES_ONLY.reset(before)


def is_weightless() -> bool:
    """Whether shapes are enough."""
    return _SHAPES_ONLY.get()
