"""Picture files as people have them: odd but sound, or with a hole that decoders hide."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def photo(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """Slopes of colour with a red and a green patch: it looks otherwise when turned any way."""
    y, x = np.mgrid[:height, :width]
    slopes = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    picture = np.stack(slopes, -1).astype(np.uint8)
    picture[height // 8 : height // 3, width // 8 : width // 2] = (250, 40, 30)
    picture[height // 2 :, 4 * width // 5 :] = (20, 200, 60)
    return picture


def file(picture: NDArray[np.uint8] | Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """A picture as a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return out.getvalue()


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment behind its start."""
    head = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2)
    return jpeg[:2] + head + content + jpeg[2:]


def exif(orientation: int, tag: int, kind: int, count: int, value: bytes) -> bytes:
    """EXIF, big endian, with an orientation and one other tag."""
    entries = [(0x0112, 3, 1, struct.pack(">HH", orientation, 0))]
    far = struct.pack(">I", 8 + 2 + 2 * 12 + 4)
    entries.append((tag, kind, count, value.ljust(4, b"\0") if len(value) <= 4 else far))
    body = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in sorted(entries))
    rest = value if len(value) > 4 else b""
    return b"MM\0*" + struct.pack(">IH", 8, 2) + body + bytes(4) + rest


ODD_TAGS = {
    "x resolution -1/0": (0x011A, 10, 1, struct.pack(">ii", -1, 0)),
    "y resolution 1/0": (0x011B, 5, 1, struct.pack(">II", 1, 0)),
    "resolution as text": (0x011A, 2, 4, b"72\0\0"),
    "negative width": (0x0100, 9, 1, struct.pack(">i", -5)),
    "not a number": (0x9204, 12, 1, struct.pack(">d", float("nan"))),
    "maker note of an unknown kind": (0x927C, 99, 3, b"abc"),
    "date of another kind": (0x0132, 5, 1, struct.pack(">II", 7, 7)),
}
"""Tag, type, count and value of EXIF entries that cameras and programs write."""


def holes(jpeg: bytes) -> dict[str, bytes]:
    """A JPEG that lacks the middle of its data, in four ways."""
    at = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2
    return {
        "bytes gone": jpeg[:at] + jpeg[at + 150 :],
        "zeros": jpeg[:at] + bytes(len(jpeg) - at - 2) + jpeg[-2:],
        "cut and closed": jpeg[:at] + b"\xff\xd9",
        "cut": jpeg[:at],
    }


def chunk(kind: bytes, content: bytes, is_sound: bool = True) -> bytes:
    """A part of a PNG."""
    check = zlib.crc32(kind + content) ^ (not is_sound)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def deep_png(colour: int, rows: list[bytes], transparent: bytes) -> bytes:
    """A PNG of 16 bits, 32 pixels wide, with one transparent value."""
    header = struct.pack(">IIBBBBB", 32, len(rows), 16, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", transparent)]
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(*part) for part in parts)


def profile(gamma: float, space: bytes = b"RGB ", swap: bool = False) -> bytes:
    """An ICC profile with the primaries of sRGB, or red and green swapped, and a plain gamma."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    white = fixed(0.9642, 1, 0.8249)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"P\0" + bytes(78)
    tags = {b"desc": name, b"wtpt": b"XYZ " + bytes(4) + white}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        first = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971)][:: -1 if swap else 1]
        for letter, xyz in zip(b"rgb", [*first, (0.1431, 0.0606, 0.7141)], strict=True):
            tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*xyz)
            tags[bytes([letter]) + b"TRC"] = curve
    at, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", at + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = bytes(4) + b"\x02\x20\0\0mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    size = struct.pack(">I", at + len(data))
    return size + head + white + bytes(48) + struct.pack(">I", len(tags)) + table + data
