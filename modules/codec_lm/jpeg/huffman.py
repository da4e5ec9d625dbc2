"""Huffman tables as JPEG files carry them (ITU-T T.81, annex C and B.2.4.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modules.codec_lm.jpeg.markers import DHT, segments

Code = Mapping[str, int]
"""Symbol of each code word; words are strings of 0 and 1."""


@dataclass(frozen=True)
class Tables:
    """The codes of one component, luminance or chrominance.

    Attributes:
        first: Code of DC coefficients; symbols are sizes in bits.
        rest: Code of AC coefficients; symbols are 16 times a run of zeros, plus a size.
    """

    first: Code
    rest: Code


def read_tables(stream: bytes) -> list[Tables]:
    """The tables of a stream: luminance, then chrominance if there is any.

    Raises:
        ValueError: The stream is no JPEG, or a table is missing.
    """
    codes = dict(table for s in segments(stream) if s.marker == DHT for table in read(s.body))
    identifiers = sorted({identifier for _, identifier in codes})
    missing = [n for n in identifiers if (0, n) not in codes or (1, n) not in codes]
    if not identifiers or missing:
        raise ValueError(f"Huffman tables {sorted(codes)} are no pairs of (0, n) and (1, n).")
    return [Tables(codes[0, n], codes[1, n]) for n in identifiers]


def read(body: bytes) -> Iterator[tuple[tuple[int, int], Code]]:
    """Class (0 = DC, 1 = AC), identifier and code of every table of a DHT segment."""
    at = 0
    while at < len(body):
        kind, identifier = divmod(body[at], 16)
        counts = body[at + 1 : at + 17]
        at += 17 + sum(counts)
        yield (kind, identifier), canonical(counts, body[at - sum(counts) : at])


def canonical(counts: bytes, symbols: bytes) -> Code:
    """The canonical code with these numbers of words of each length (annex C)."""
    code, word, left = {}, 0, iter(symbols)
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            code[f"{word:0{length}b}"] = next(left)
            word += 1
        word *= 2
    return code
