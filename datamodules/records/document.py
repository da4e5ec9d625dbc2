"""A document, or a bad sample with the reason."""

import json
import re
from dataclasses import dataclass

MARK = "\ufeff"
"""The byte order mark that some editors write before a text; it is not part of the text."""
LONGEST_REASON = 300
"""Characters of a reason, at most."""
NO_TEXT = re.compile("[\\x00-\\x08\\x0e-\\x1b\\x7f\\ufffd]")
"""Control characters except white space, and the replacement character."""
LARGEST_CONTROL = 0.05
"""Share of control characters above which a text counts as binary."""
LONGEST_WORD = 40
"""Characters; shorter texts without a space are one word, longer ones may be in a language
that writes no spaces."""


@dataclass(frozen=True)
class Document:
    """One text and its origin.

    Attributes:
        text: The text, not empty.
        origin: File and line or row, counted from 1, such as `train.parquet:17`.
        num_bytes: Size of what it was made from, in bytes; None takes the UTF-8 text.
    """

    text: str
    origin: str
    num_bytes: int | None = None

    @property
    def size(self) -> int:
        """Size in bytes of what the text was made from."""
        return len(self.text.encode()) if self.num_bytes is None else self.num_bytes


@dataclass(frozen=True)
class BadSample:
    """A sample that cannot be used. Origin and reason are always printable.

    Attributes:
        origin: File and line or row, counted from 1.
        reason: What is wrong, in a few words.
    """

    origin: str
    reason: str

    def __post_init__(self) -> None:
        """Make both printable: file names and JSON keys may contain any bytes."""
        object.__setattr__(self, "origin", printable(self.origin))
        reason = printable(self.reason)
        short = reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + " ..."
        object.__setattr__(self, "reason", short)


@dataclass(frozen=True)
class Blank(BadSample):
    """A row without a text: neither a document nor an error."""


@dataclass(frozen=True)
class BadFile(BadSample):
    """A file that cannot be read completely.

    Attributes:
        num_files: Number of files that are read together, this one included.
        is_empty: Whether the file is empty.
    """

    num_files: int = 1
    is_empty: bool = False


def printable(text: str) -> str:
    """A text that any stream accepts: undecodable bytes and lone surrogates are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_document(value: object, origin: str) -> Document | BadSample:
    """A document, if `value` is a text (or its UTF-8 bytes) that can be encoded.

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
    """Why a text cannot be tokenised or encoded, in a few words; empty if it can."""
    if "\0" in text:
        return f"binary or UTF-16: NUL at character {text.index(chr(0))}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"not UTF-8: half of a surrogate pair at character {error.start}"
    return ""


def unreadable(text: str) -> str:
    """Why a text cannot be classified or summarised, in a few words; empty if it can."""
    control = len(NO_TEXT.findall(text))
    if control > LARGEST_CONTROL * len(text):
        return f"binary: {control} of {len(text)} characters are no text"
    if not text.strip():
        return "empty"
    if len(text.split()) < 2 and len(text) <= LONGEST_WORD:
        return "a single word"
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
