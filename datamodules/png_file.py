"""What of a PNG file makes its pixels (PNG, third edition, sec. 5)."""

import zlib
from collections.abc import Iterator

from datamodules.quarantine import UnusableError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
COLOUR, DEEP = 2, 16
"""Kind of a picture in colours, and bits of what Pillow halves."""


def pixels_only(file: bytes) -> bytes:
    """The file without all that is not needed for its pixels, so that none of it can harm them.

    Pillow passes over the checksums of pixels, and refuses a file for those of remarks.

    Raises:
        UnusableError: A needed part is cut off or has a wrong checksum.
    """
    parts, is_deep = [SIGNATURE], False
    for kind, content in chunks(file):
        if kind == b"IHDR":
            is_deep = content[8:10] == bytes([DEEP, COLOUR])
        if kind == b"tRNS" and is_deep:  # Pillow compares with pixels that it has halved
            content = b"".join(b"\0" + content[at : at + 1] for at in (0, 2, 4))
        parts.append(chunk(kind, content))
    return b"".join([*parts, chunk(b"IEND", b"")])


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the needed parts."""
    at = len(SIGNATURE)
    while at + 8 <= len(file):
        size, kind = int.from_bytes(file[at : at + 4]), file[at + 4 : at + 8]
        if kind == b"IEND":
            return
        end = at + 12 + size
        if kind in NEEDED:
            if end > len(file):
                raise UnusableError(f"a broken image: the PNG breaks off within {kind.decode()}")
            content = file[at + 8 : end - 4]
            if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(file[end - 4 : end]):
                raise UnusableError(f"a broken image: the checksum of {kind.decode()} is wrong")
            yield kind, content
        at = end


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part with its size and checksum."""
    check = zlib.crc32(content, zlib.crc32(kind))
    return len(content).to_bytes(4) + kind + content + check.to_bytes(4)
