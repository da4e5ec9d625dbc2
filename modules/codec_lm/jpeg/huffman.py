"""Huffman tables as JPEG files carry them (ITU-T T.81, annex C and B.2.4.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modules.codec_lm.jpeg.markers import DHT, segments

Code = Mapping[str, int]
"""Bits, as a text of 0 and 1, and the symbol they stand for."""


@dataclass(frozen=True)
class Tables:
    """The codes of one kind of component, luminance or chrominance.

    Attributes:
        first: Of the first coefficient of a block (DC); symbols are sizes in bits.
        rest: Of the others (AC); symbols are 16 times a run of zeros, plus a size.
    """

    first: Code
    rest: Code


def read_tables(stream: bytes) -> list[Tables]:
    """The tables of a stream: luminance, then chrominance where there is one.

    Raises:
        ValueError: The stream is no JPEG, or lacks a table.
    """
    found = dict(table for s in segments(stream) if s.marker == DHT for table in read(s.body))
    numbers = sorted({number for _, number in found})
    lacking = [n for n in numbers if (0, n) not in found or (1, n) not in found]
    if not numbers or lacking:
        raise ValueError(f"Huffman tables {sorted(found)} are no pairs of (0, n) and (1, n).")
    return [Tables(found[0, number], found[1, number]) for number in numbers]


def read(body: bytes) -> Iterator[tuple[tuple[int, int], Code]]:
    """Class (0 = DC, 1 = AC), number and code of every table of a DHT segment."""
    at = 0
    while at < len(body):
        kind, number = divmod(body[at], 16)
        counts = body[at + 1 : at + 17]
        at += 17 + sum(counts)
        yield (kind, number), canonical(counts, body[at - sum(counts) : at])


def canonical(counts: bytes, symbols: bytes) -> Code:
    """The code that has so many words of each length, counted upwards (annex C)."""
    code, word, left = {}, 0, iter(symbols)
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            code[f"{word:0{length}b}"] = next(left)
            word += 1
        word *= 2
    return code
