"""The one place where whatever goes wrong with one sample becomes that sample's fault."""

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
    """One sample, or why there is none.

    Args:
        origin: Where it stands, such as `train.parquet:17`.
        read: Reads, decodes or tokenises it, by whatever library.
        args: What it is called with.
        kwargs: Likewise.

    Raises:
        MisfitError: Data and settings do not go together, which no sample is to blame for.
    """
    try:
        return read(*args, **kwargs)
    except MisfitError:
        raise
    except Exception as error:
        return BadSample(origin, reason(error))


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """As `attempt`, around a decoder, for whoever says more of what went wrong.

    Args:
        what: What is broken then, for the message.

    Raises:
        BadSampleError: Anything but a `MisfitError` was raised; says what and why.
    """
    try:
        yield
    except (BadSampleError, MisfitError):
        raise
    except Exception as error:
        raise BadSampleError(f"{what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What went wrong, in a few words: our own, or the kind of error and its first line."""
    if isinstance(error, BadSampleError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return f"not UTF-8: half of a surrogate pair at character {error.start}"
    said = getattr(error, "strerror", None) or str(error)
    first = (said.strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
