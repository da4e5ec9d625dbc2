"""The one place where whatever goes wrong with one sample becomes that sample's fault."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from datamodules.documents import Reject
from datamodules.quarantine import UnusableError

Arguments = ParamSpec("Arguments")
Sample = TypeVar("Sample")


def attempt(
    origin: str,
    read: Callable[Arguments, Sample],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Sample | Reject:
    """One sample, or why there is none.

    Args:
        origin: Where it stands, such as `train.parquet:17`.
        read: Reads, decodes or tokenises it, by whatever library.
        args: What it is called with.
        kwargs: Likewise.
    """
    try:
        return read(*args, **kwargs)
    except Exception as error:
        return Reject(origin, reason(error))


def reason(error: Exception) -> str:
    """What went wrong, in a few words: our own, or the kind of error and its first line."""
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return f"not UTF-8: half of a surrogate pair at character {error.start}"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
