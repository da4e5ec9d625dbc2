"""Whether a JPEG file holds its complete image (ITU-T T.81, annex B).

Decoders are lenient: where data is missing or wrong they guess and continue. Here scans must be
complete, while odd headers, profiles and metadata are accepted, and so is a missing end marker.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodules.records.errors import BadSampleError

START, END = b"\xff\xd8", b"\xff\xd9"
EOI, SOS, COMMENT = 0xD9, 0xDA, 0xFE
APPLICATION = range(0xE0, 0xF0)
COLOURS = {0xE0: 16, 0xEE: 14}
"""Application data that defines the components (JFIF, Adobe), and its minimum size."""
ALONE = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])
"""Second bytes of what has no length field: stuffing and standalone markers."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LOSSLESS = frozenset([0xC3, 0xC7, 0xCB, 0xCF])
PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends the data of a scan."""
DAMAGE = ("Premature end", "Corrupt JPEG data")
"""First words of libjpeg's messages on scans that lack data or have invalid codes."""
COLOURS_OF = {1: "GRAY", 3: "RGB"}
"""simplejpeg's name of the colour space, by number of components."""
CMYK = 4
"""Components of such an image."""


@dataclass
class JpegFile:
    """Scans of a file, and the parts that decoding needs.

    Attributes:
        pixels: Only the parts of the file that its pixels need, with an end marker.
        bare: The same without any application data, which libjpeg warns of as well.
        frame: Frame type, the second byte of its marker; 0 where there is none.
        components: Ids of its components.
        finest: Lowest bit sent so far, by component id and coefficient index.
    """

    pixels: bytes = b""
    bare: bytes = b""
    frame: int = 0
    components: tuple[int, ...] = ()
    finest: dict[tuple[int, int], int] = field(default_factory=dict)

    def note_frame(self, segment: bytes) -> None:
        """Record the components."""
        self.frame = segment[1]
        self.components = tuple(segment[10::3][: segment[9]])

    def note_scan(self, segment: bytes) -> None:
        """Record which coefficients of which components a scan sends, and their lowest bit."""
        count = segment[4]
        first, last, bits = segment[5 + 2 * count : 8 + 2 * count]
        is_progressive = self.frame in PROGRESSIVE
        for component in segment[5 : 5 + 2 * count : 2]:
            for coefficient in range(first, last + 1) if is_progressive else (0,):
                self.finest[component, coefficient] = bits & 15 if is_progressive else 0

    def lack(self) -> str | None:
        """What no scan has sent; None where the image is complete."""
        for component in self.components:
            if (component, 0) not in self.finest:
                return "a component without a scan"
        return "scans are missing" if any(self.finest.values()) else None


def read_jpeg(file: bytes) -> JpegFile:
    """Parse a file.

    Args:
        file: It begins with the start marker; bytes after its end marker are ignored.

    Raises:
        BadSampleError: It ends before its first scan, or within a later header.
    """
    found, at = JpegFile(), len(START)
    parts, bare = [START], [START]
    while (at := file.find(b"\xff", at)) >= 0 and at + 1 < len(file):
        kind = file[at + 1]
        if kind == 0xFF or kind in ALONE:
            at += 1 if kind == 0xFF else 2
            continue
        if kind == EOI:
            break
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        if end > len(file) or end < at + 4:
            raise BadSampleError(f"a broken image: the JPEG ends within a header, at byte {at}")
        segment = file[at:end]
        if kind == SOS:
            found.note_scan(segment)
            after = AFTER_SCAN.search(file, end)
            end = after.start() if after else len(file)
        elif kind in FRAMES:
            found.note_frame(segment)
        if kind not in APPLICATION and kind != COMMENT:
            parts.append(file[at:end])
            bare.append(parts[-1])
        elif end - at - 2 >= COLOURS.get(kind, end):
            parts.append(file[at:end])
        at = end
    if not found.finest:
        raise BadSampleError("a broken image: the JPEG has no scan")
    found.pixels, found.bare = (b"".join([*some, END]) for some in (parts, bare))
    return found


def decode_strictly(
    file: JpegFile, size: tuple[int, int], least: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """The pixels of a file without libjpeg warnings, equal to Pillow's.

    Args:
        file: The file.
        size: Its width and height.
        least: Smallest width and height that suffice; a large image is decoded at 1/2, 1/4 or 1/8.

    Returns:
        Uint8 [H, W] or [H, W, 3]; None where there is a warning, or an unsupported kind.
    """
    from simplejpeg import decode_jpeg

    num = len(file.components)
    if num not in COLOURS_OF or file.frame in LOSSLESS or file.lack():
        return None
    fit = min(full // part for full, part in zip(size, least, strict=True))
    scale = next((scale for scale in (8, 4, 2) if fit >= scale), 1)
    width, height = (-(-full // scale) for full in size)
    try:
        pixels = decode_jpeg(file.pixels, COLOURS_OF[num], min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if num > 1 else pixels[..., 0]


def check_jpeg(file: JpegFile) -> None:
    """Refuse a file whose scans lack data or have invalid codes.

    Scans are read at an eighth of the size, without chrominance: this checks all codes. Kinds of
    files that simplejpeg does not support are left to the decoder.

    Raises:
        BadSampleError: Data is missing or invalid; the message quotes which.
    """
    from simplejpeg import decode_jpeg

    error_text = file.lack()
    try:
        colours = "CMYK" if len(file.components) == CMYK else "GRAY"
        decode_jpeg(file.bare, colours, fastdct=True, fastupsample=True, min_height=1, min_width=1)
    except ValueError as error:
        error_text = error_text or (str(error) if str(error).startswith(DAMAGE) else None)
    if error_text:
        raise BadSampleError(f"a broken image: {error_text}")
