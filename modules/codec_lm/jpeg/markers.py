"""Segments of a baseline JPEG file (ITU-T T.81, annex B)."""

from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS, DHT, DQT, DRI, SOF0 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xC0
RST0 = 0xD0
"""The first of the eight restart markers, which are used in turn."""
BARE = frozenset({SOI, EOI, 0x01, *range(RST0, RST0 + 8)})
"""Markers without a length field."""


@dataclass(frozen=True)
class MarkerSegment:
    """A marker segment.

    Attributes:
        marker: The byte after FF.
        start: Offset of the FF.
        end: Offset after the segment's last byte.
        body: Bytes after the length field.
    """

    marker: int
    start: int
    end: int
    body: bytes


def segments(file: bytes) -> Iterator[MarkerSegment]:
    """The segments up to the first scan, or to the end of a file without a scan.

    Raises:
        ValueError: The file is no JPEG, or its header is truncated or invalid.
    """
    if file[:2] != b"\xff\xd8":
        raise ValueError(f"a JPEG begins with FF D8, this with {file[:2].hex(' ') or 'nothing'}.")
    at = 0
    while True:
        start = at
        while at < len(file) and file[at] == 0xFF:
            at += 1  # any number of FF may precede a marker
        if at == start or at >= len(file):
            raise ValueError(f"the header breaks off at byte {start} of {len(file)}.")
        marker, at = file[at], at + 1
        if marker in BARE:
            yield MarkerSegment(marker, start, at, b"")
        else:
            size = int.from_bytes(file[at : at + 2], "big")
            if size < 2 or at + size > len(file):
                raise ValueError(
                    f"segment FF {marker:02X} at byte {start} wants {size} bytes, the file has "
                    f"{len(file) - at} more."
                )
            yield MarkerSegment(marker, start, at + size, file[at + 2 : at + size])
            at += size
        if marker in (EOI, SOS):
            return
