"""What of a PNG file makes its pixels (PNG, third edition, sec. 5)."""

import zlib
from collections.abc import Iterator

from datamodules.records.errors import BadSampleError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
REMARKS = {
    b"eXIf": b"",
    b"iCCP": b"",
    b"iTXt": b"XML:com.adobe.xmp",
    b"tEXt": b"Raw profile type",
    b"zTXt": b"Raw profile type",
}
"""Parts that may speak of orientation or colours, and how they begin."""
ONE_PIXEL = b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"
"""Header of a grey picture of one pixel."""
COLOUR, DEEP = 2, 16
"""Kind of a picture in colours, and bits of what Pillow halves."""


def pixels_only(file: bytes) -> bytes:
    """The file without all that is not needed for its pixels, so that none of it can harm them.

    Pillow passes over the checksums of pixels, and refuses a file for those of remarks.

    Raises:
        BadSampleError: A needed part is cut off or has a wrong checksum.
    """
    parts, is_deep = [SIGNATURE], False
    for kind, content, check in chunks(file):
        if kind not in NEEDED:
            continue
        if check is None:
            raise BadSampleError(f"a broken image: the PNG breaks off within {kind.decode()}")
        if check != checksum(kind, content):
            raise BadSampleError(f"a broken image: the checksum of {kind.decode()} is wrong")
        if kind == b"IHDR":
            is_deep = content[8:10] == bytes([DEEP, COLOUR])
        if kind == b"tRNS" and is_deep:  # Pillow compares with pixels that it has halved
            content = b"".join(b"\0" + content[at : at + 1] for at in (0, 2, 4))
        parts.append(chunk(kind, content))
    return b"".join([*parts, chunk(b"IEND", b"")])


def remarks_only(file: bytes) -> bytes:
    """A PNG of one pixel with what the file says of orientation and colours; empty if nothing."""
    found = [
        chunk(kind, content)
        for kind, content, check in chunks(file)
        if kind in REMARKS
        and content.startswith(REMARKS[kind])
        and check == checksum(kind, content)
    ]
    if not found:
        return b""
    pixel = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"".join([SIGNATURE, chunk(b"IHDR", ONE_PIXEL), *found, pixel, chunk(b"IEND", b"")])


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Kind, content and checksum of the parts before the end; no checksum where one is cut off."""
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
    """A part with its size and checksum."""
    return len(content).to_bytes(4) + kind + content + checksum(kind, content).to_bytes(4)


def checksum(kind: bytes, content: bytes) -> int:
    """Of a part."""
    return zlib.crc32(content, zlib.crc32(kind))
