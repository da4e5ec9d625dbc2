"""The chunks of a PNG file that its pixels need (PNG, third edition, sec. 5)."""

import zlib
from collections.abc import Iterator

from datamodules.records.errors import BadSampleError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
METADATA = {
    b"eXIf": b"",
    b"iCCP": b"",
    b"iTXt": b"XML:com.adobe.xmp",
    b"tEXt": b"Raw profile type",
    b"zTXt": b"Raw profile type",
}
"""Chunks that may give orientation or colours, and how they begin."""
ONE_PIXEL = b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"
"""Header of a grey image of one pixel."""
COLOUR, DEEP = 2, 16
"""Colour type of RGB, and the bit depth that Pillow halves."""


def pixels_only(file: bytes) -> bytes:
    """The file reduced to the chunks that its pixels need, so that no other chunk matters.

    Pillow ignores wrong checksums of pixels, and refuses a file for those of metadata.

    Raises:
        BadSampleError: A needed chunk is truncated or has a wrong checksum.
    """
    parts, is_deep = [SIGNATURE], False
    for kind, content, check in chunks(file):
        if kind not in NEEDED:
            continue
        if check is None:
            raise BadSampleError(f"a broken image: the PNG ends within {kind.decode()}")
        if check != checksum(kind, content):
            raise BadSampleError(f"a broken image: the checksum of {kind.decode()} is wrong")
        if kind == b"IHDR":
            is_deep = content[8:10] == bytes([DEEP, COLOUR])
        if kind == b"tRNS" and is_deep:  # Pillow compares it with pixels of half the depth
            content = b"".join(b"\0" + content[at : at + 1] for at in (0, 2, 4))
        parts.append(chunk(kind, content))
    return b"".join([*parts, chunk(b"IEND", b"")])


def metadata_only(file: bytes) -> bytes:
    """A PNG of one pixel with the file's orientation and colours; empty where it has none."""
    found = [
        chunk(kind, content)
        for kind, content, check in chunks(file)
        if kind in METADATA
        and content.startswith(METADATA[kind])
        and check == checksum(kind, content)
    ]
    if not found:
        return b""
    pixel = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"".join([SIGNATURE, chunk(b"IHDR", ONE_PIXEL), *found, pixel, chunk(b"IEND", b"")])


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Type, content and checksum of the chunks before the end; no checksum of a truncated one."""
    at = len(SIGNATURE)
    while at + 8 <= len(file):
        size, kind = int.from_bytes(file[at : at + 4]), file[at + 4 : at + 8]
        if kind == b"IEND":
            return
        end = at + 12 + size
        yield (
            kind,
            file[at + 8 : end - 4],
            (int.from_bytes(file[end - 4 : end]) if end <= len(file) else None),
        )
        at = end


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its size and checksum."""
    return len(content).to_bytes(4) + kind + content + checksum(kind, content).to_bytes(4)


def checksum(kind: bytes, content: bytes) -> int:
    """CRC-32 of a chunk."""
    return zlib.crc32(content, zlib.crc32(kind))
