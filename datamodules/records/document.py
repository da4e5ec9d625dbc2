"""A document, or the reason why there is none."""

import json
from dataclasses import dataclass

MARK = "\ufeff"
"""The byte order mark that some editors put before a text; it is no part of it."""
LONGEST_REASON = 300
"""Characters of a reason, at most."""


@dataclass(frozen=True)
class Document:
    """One text and where it stands.

    Attributes:
        text: The text, not empty.
        origin: File and line or row, counted from 1, such as `train.parquet:17`.
        num_bytes: What it was made from, in bytes; None counts the text in UTF-8.
    """

    text: str
    origin: str
    num_bytes: int | None = None

    @property
    def size(self) -> int:
        """Bytes behind the text."""
        return len(self.text.encode()) if self.num_bytes is None else self.num_bytes


@dataclass(frozen=True)
class BadSample:
    """A document that cannot be used; both texts can be printed and written, whatever they name.

    Attributes:
        origin: File and line or row, counted from 1.
        reason: What is wrong, in a few words.
    """

    origin: str
    reason: str

    def __post_init__(self) -> None:
        """Make both printable; names of files and keys of JSON may hold anything."""
        object.__setattr__(self, "origin", printable(self.origin))
        reason = printable(self.reason)
        short = reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + " ..."
        object.__setattr__(self, "reason", short)


@dataclass(frozen=True)
class Blank(BadSample):
    """A row without a text: no document, and no fault either."""


@dataclass(frozen=True)
class BadFile(BadSample):
    """A file that cannot be read, or not to its end.

    Attributes:
        num_files: Files that are read together with it, itself included.
        is_empty: Whether it merely holds nothing.
    """

    num_files: int = 1
    is_empty: bool = False


def printable(text: str) -> str:
    """A text that any stream takes: bytes of file names and lone surrogates are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_document(value: object, origin: str) -> Document | BadSample:
    """A document, if `value` is a text (or its UTF-8 bytes) that can be written down.

    A leading byte order mark is left out. A blank text gives a `Blank`.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            return BadSample(origin, f"not UTF-8 at byte {error.start}")
    if value is None:
        return BadSample(origin, "null")
    if not isinstance(value, str):
        return BadSample(origin, f"not a text but {type(value).__name__}")
    text = value.removeprefix(MARK)
    if not text.strip():
        return Blank(origin, "empty")
    reason = unwritable(text)
    return BadSample(origin, reason) if reason else Document(text, origin)


def unwritable(text: str) -> str:
    """Why a text cannot be tokenised or written down, in a few words; empty where it can."""
    if "\0" in text:
        return f"binary or UTF-16: NUL at character {text.index(chr(0))}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"not UTF-8: half of a surrogate pair at character {error.start}"
    return ""


def parse(line: bytes, origin: str) -> object:
    """The value of a line of JSON, or a `BadSample`; a byte order mark is skipped."""
    try:
        return json.loads(line.decode().removeprefix(MARK))
    except UnicodeDecodeError as error:
        return BadSample(origin, f"not UTF-8 at byte {error.start}")
    except (json.JSONDecodeError, RecursionError):
        return BadSample(origin, "broken JSON")
    except Exception as error:  # such as a number of more digits than Python takes
        return BadSample(origin, f"broken JSON: {error}")
