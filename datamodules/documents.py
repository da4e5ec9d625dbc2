"""A document, or the reason why there is none."""

import json
from dataclasses import dataclass


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
class Reject:
    """A document that cannot be used.

    Attributes:
        origin: File and line or row, counted from 1.
        reason: What is wrong, in a few words.
    """

    origin: str
    reason: str


def judge(value: object, origin: str) -> Document | Reject:
    """A document, if `value` is a text (or its UTF-8 bytes) that is not blank."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            return Reject(origin, f"not UTF-8 at byte {error.start}")
    if value is None:
        return Reject(origin, "null")
    if not isinstance(value, str):
        return Reject(origin, f"not a text but {type(value).__name__}")
    return Document(value, origin) if value.strip() else Reject(origin, "empty")


def parse(line: bytes, origin: str) -> object:
    """The value that a line of JSON stands for, or a `Reject`."""
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        return Reject(origin, f"not UTF-8 at byte {error.start}")
    except (json.JSONDecodeError, RecursionError):
        return Reject(origin, "broken JSON")
