"""Bytes as text, a character each, so that tokenizers for text take files.

Byte b is the character of number 10240 + b, a pattern of braille dots, as in the paper's own
preprocessing.
"""

import numpy as np

FIRST = 10240
"""The character of byte 0."""
ALPHABET = [chr(FIRST + byte) for byte in range(256)]


def bytes_to_text(sequence: bytes) -> str:
    """The text of some bytes."""
    number = np.frombuffer(sequence, np.uint8).astype("<u2") + np.uint16(FIRST)
    return number.tobytes().decode("utf-16-le")


def text_to_bytes(text: str) -> bytes:
    """The bytes that a text spells.

    Raises:
        ValueError: A character spells no byte.
    """
    number = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4") - np.uint32(FIRST)
    wrong = np.flatnonzero(number > 255)  # below FIRST the difference wraps around
    if len(wrong):
        raise ValueError(f"{text[wrong[0]]!r} spells no byte.")
    return number.astype(np.uint8).tobytes()
