"""URLs of data: what is one, what a brace range stands for, and what of it may be shown."""

import re
from itertools import product
from pathlib import PurePath, PurePosixPath
from urllib.parse import unquote, urlsplit

from datamodules.records.document import printable

ADDRESS = re.compile(r"(?P<protocol>[A-Za-z][\w+.-]*)://")
"""How a URL starts."""
WEB = ("http", "https")
"""Protocols whose paths may carry a query, and whose folders cannot be listed."""
BRACES = re.compile(r"\{([^{}]*(?:\.\.|,)[^{}]*)\}")
"""A brace range such as `{00000..00099}`, or alternatives such as `{train,extra}`."""
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST = 1_000_000
"""Files that one pattern of braces may stand for."""
PASSWORD = re.compile(r"(?<=://)[^/\s'\"@]*:[^/\s'\"@]*@")
"""User and password of a URL."""
QUERY = re.compile(r"(https?://[^\s'\"?]*)\?[^\s'\"),]*")
"""A web address with its query, which may be a signature."""


def is_remote(path: str) -> bool:
    """Whether a path is a URL, other than of a file of this machine."""
    return bool(ADDRESS.match(path)) and protocol(path) != "file"


def protocol(url: str) -> str:
    """The protocol of a URL in lower case, such as `s3`."""
    found = ADDRESS.match(url)
    return found["protocol"].lower() if found else ""


def shown(text: str) -> str:
    """A URL, or a message that holds URLs, without passwords and queries."""
    return printable(QUERY.sub(r"\1", PASSWORD.sub("", text)))


def short_name(path: str | PurePath) -> str:
    """The last two parts of a path or URL."""
    return printable("/".join(PurePosixPath(shown(str(path))).parts[-2:]))


def path_of(url: str) -> PurePosixPath:
    """Host and path of a URL, without its query."""
    if protocol(url) in WEB:
        parts = urlsplit(url)
        return PurePosixPath(parts.netloc.rpartition("@")[2] + unquote(parts.path))
    return PurePosixPath(ADDRESS.sub("", url, count=1).lstrip("/"))


def expanded(url: str) -> list[str]:
    """The URLs that a pattern of braces stands for, in order; a URL without braces is one.

    Both ends of a range belong to it; its numbers have as many digits as the first one.

    Raises:
        ValueError: A range falls, or there are more than a million URLs.
    """
    pieces = BRACES.split(url)
    choices = [_choices(inner, url) for inner in pieces[1::2]]
    total = 1
    for one in choices:
        total *= len(one)
    if total > MOST:
        raise ValueError(f"{shown(url)} stands for {total:,} files, more than {MOST:,}.")
    texts = pieces[::2]
    return [
        "".join(text + chosen for text, chosen in zip(texts, (*these, ""), strict=True))
        for these in product(*choices)
    ]


def _choices(inner: str, url: str) -> list[str]:
    """What one pair of braces stands for."""
    found = RANGE.fullmatch(inner)
    if found is None:
        return inner.split(",")
    first, last = int(found[1]), int(found[2])
    if last < first:
        raise ValueError(f"{shown(url)}: the range {{{inner}}} falls; write {{{last}..{first}}}.")
    if last - first >= MOST:
        raise ValueError(f"{shown(url)}: the range {{{inner}}} has more than {MOST:,} numbers.")
    return [str(number).zfill(len(found[1])) for number in range(first, last + 1)]
