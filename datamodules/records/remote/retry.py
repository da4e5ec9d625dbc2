"""Requests to a store: what fails for a moment is tried again, what fails is told in one line."""

import re
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any, TypeVar

from datamodules.records.errors import MisfitError
from datamodules.records.remote.address import WEB, protocol, shown
from datamodules.records.remote.settings import retries

Answer = TypeVar("Answer")
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0
"""Seconds before a failed request is sent again; they double each time."""
EARLY = 3
"""How often a request is sent again at most while files are looked up, before a run begins."""
DOWN: set[str] = set()
"""Hosts that gave up on all retries, to whom no request is sent twice until one succeeds."""
BUSY = (408, 425, 429)
"""Statuses below 500 that may change by themselves."""
PASSING = re.compile(r"Timeout|Connect|Disconnect|Incomplete|Payload|SlowDown")
"""In the names of errors that libraries raise when a connection fails."""
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def retried(action: Callable[[], Answer], url: str, most: int | None = None) -> Answer:
    """The answer to a request, which is sent again for a while if the network fails.

    Args:
        action: Sends it.
        url: Of which file, for messages; passwords and queries are left out of them.
        most: How often it is sent again at most, whatever the settings say.

    Raises:
        FileNotFoundError: There is no such file or bucket.
        PermissionError: It must not be read.
        OSError: It cannot be read; says why and how often that was tried.
    """
    dice, host = SystemRandom(), url.partition("://")[2].partition("/")[0]
    count = retries() if most is None else min(most, retries())
    count = 0 if host in DOWN else count
    for turn in range(count + 1):
        try:
            found = action()
            DOWN.discard(host)
            return found
        except (MisfitError, MemoryError):
            raise
        except Exception as error:
            cause = behind(error)
            is_down = turn == count and is_passing(cause)
            DOWN.update({host} if is_down else ())
            if is_down or not is_passing(cause):
                raise explained(cause, url, turn) from None  # a chain would show the whole URL
        time.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**turn) * dice.uniform(1, 1.25))
    raise AssertionError("not reached")


def behind(error: Exception) -> Exception:
    """The error that a library reports as a missing file, whatever went wrong."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        return cause if status_of(cause) not in (None, 404) or is_passing(cause) else error
    return error


def is_passing(error: Exception) -> bool:
    """Whether a request may succeed if it is sent again."""
    status = status_of(error)
    if status is not None:
        return status >= 500 or status in BUSY
    if isinstance(error, FINAL) or "Offline" in type(error).__name__:
        return False
    return isinstance(error, OSError) or bool(PASSING.search(type(error).__name__))


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error of aiohttp, botocore, gcsfs or the hub holds."""
    answer: Any = getattr(error, "response", None)
    meta = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    found = (
        getattr(error, "status", None),
        meta.get("HTTPStatusCode"),
        getattr(answer, "status_code", None),
        getattr(error, "code", None),
    )
    numbers = (int(str(one)) for one in found if str(one).isdecimal())
    return next((number for number in numbers if 100 <= number < 600), None)


def explained(error: Exception, url: str, num_retries: int = 0) -> OSError:
    """What is told of an error, in one line without secrets."""
    place, status = shown(url), status_of(error)
    said = shown((str(error).strip().splitlines() or [""])[0])
    if isinstance(error, FileNotFoundError) or status == 404:
        more = f" ({said})" if said and said.strip("/") not in place and " " in said else ""
        return FileNotFoundError(f"{place} does not exist{more}.")
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(
            f"{place} must not be read: {status or said or 'access is denied'}. Credentials come "
            f"from {'~/.netrc' if protocol(url) in WEB else f'what {protocol(url)} tools use'}."
        )
    reason = f"status {status}" if status else f"{type(error).__name__}: {said}".rstrip(": ")
    tries = f", after {num_retries} retries" if num_retries else ""
    return OSError(f"{place} cannot be read: {reason}{tries}")
