"""Bytes as text, one character a byte, so that text tokenizers can read files.

Byte b is the code point 10240 + b, a braille pattern, as in the preprocessing of Han et al. (2024).
"""

import numpy as np

FIRST = 10240
"""Code point of byte 0."""
ALPHABET = [chr(FIRST + byte) for byte in range(256)]


def bytes_to_text(sequence: bytes) -> str:
    """Bytes as text."""
    code_point = np.frombuffer(sequence, np.uint8).astype("<u2") + np.uint16(FIRST)
    return code_point.tobytes().decode("utf-16-le")


def text_to_bytes(text: str) -> bytes:
    """The bytes that a text stands for.

    Raises:
        ValueError: A character stands for no byte.
    """
    byte = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4") - np.uint32(FIRST)
    wrong = np.flatnonzero(byte > 255)  # below FIRST the difference wraps around
    if len(wrong):
        raise ValueError(f"{text[wrong[0]]!r} stands for no byte.")
    return byte.astype(np.uint8).tobytes()
