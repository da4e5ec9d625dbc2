"""The one place that turns an exception while reading a sample into a bad sample."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError, MisfitError

Arguments = ParamSpec("Arguments")
Sample = TypeVar("Sample")


def attempt(
    origin: str,
    read: Callable[Arguments, Sample],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Sample | BadSample:
    """Read one sample; any error makes it a `BadSample`.

    Args:
        origin: Its origin, such as `train.parquet:17`.
        read: Function that reads, decodes or tokenises it.
        args: Positional arguments of `read`.
        kwargs: Keyword arguments of `read`.

    Raises:
        MisfitError: Data and settings are incompatible; no single sample is at fault.
    """
    try:
        return read(*args, **kwargs)
    except MisfitError:
        raise
    except Exception as error:
        return BadSample(origin, reason(error))


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Like `attempt`, as a context manager around a decoder that adds to the message.

    Args:
        what: What is broken, for the message.

    Raises:
        BadSampleError: Any error but a `MisfitError` was raised; the message says what and why.
    """
    try:
        yield
    except (BadSampleError, MisfitError):
        raise
    except Exception as error:
        raise BadSampleError(f"{what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The reason in a few words: our own message, or the type of the error and its first line."""
    if isinstance(error, BadSampleError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return f"not UTF-8: half of a surrogate pair at character {error.start}"
    said = getattr(error, "strerror", None) or str(error)
    first = (said.strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
