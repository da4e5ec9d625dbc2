"""Bytes as text, a character each, so that tokenizers for text take files.

Byte b is the character of number 10240 + b, a pattern of braille dots, as in the paper's own
preprocessing.
"""

FIRST = 10240
"""The character of byte 0."""
ALPHABET = [chr(FIRST + byte) for byte in range(256)]


def spell(sequence: bytes) -> str:
    """The text of some bytes."""
    return "".join(ALPHABET[byte] for byte in sequence)


def unspell(text: str) -> bytes:
    """The bytes that a text spells.

    Raises:
        ValueError: A character spells no byte.
    """
    try:
        return bytes(ord(character) - FIRST for character in text)
    except ValueError:
        wrong = next(c for c in text if not 0 <= ord(c) - FIRST < 256)
        raise ValueError(f"{wrong!r} spells no byte.") from None
