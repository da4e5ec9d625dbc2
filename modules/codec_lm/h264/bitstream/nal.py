"""Units of an H.264 byte stream (ITU-T H.264, 7.3.1 and annex B).

A unit begins behind a start code. Inside of one, three bytes from 000000 to 000003 cannot stand:
whoever writes them puts a 03 behind the two zeros, and whoever reads takes it out again.
"""

import re
from dataclasses import dataclass

START = b"\x00\x00\x01"
"""Start code of a unit; the first one of a picture has a zero more."""
FIRST = b"\x00" + START
ESCAPE = 0x03
SLICE, IDR_SLICE, SEI, SPS, PPS = 1, 5, 6, 7, 8
"""Types of units: of a picture that hangs on others; of one that does not, and behind which
nothing hangs on what was before (instantaneous decoding refresh); remarks; parameters of a sequence
and of pictures."""


@dataclass(frozen=True)
class Unit:
    """What stands between two start codes.

    Attributes:
        body: All of it, the byte that tells its type first, escapes included.
    """

    body: bytes

    @property
    def kind(self) -> int:
        """Type of the unit."""
        return self.body[0] & 31

    @property
    def payload(self) -> bytes:
        """What follows the first byte, without escapes."""
        return unescape(self.body[1:])


def units(stream: bytes) -> list[Unit]:
    """The units of a stream; what stands before the first start code is no unit.

    Raises:
        ValueError: There is no unit.
    """
    parts = [part.rstrip(b"\x00") for part in stream.split(START)[1:]]
    found = [Unit(part) for part in parts if part]
    if not found:
        raise ValueError(f"no start code in {len(stream)} bytes: this is no H.264 byte stream.")
    return found


def join(frames: list[list[Unit]]) -> bytes:
    """A stream of pictures, each of which begins with the longer start code."""
    return b"".join(
        (START if number else FIRST) + unit.body
        for frame in frames
        for number, unit in enumerate(frame)
    )


def escape(payload: bytes) -> bytes:
    """A payload as it may stand in a unit (7.4.1.1)."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", payload)


def unescape(body: bytes) -> bytes:
    """The payload of a unit: the inverse of `escape`."""
    return body.replace(b"\x00\x00\x03", b"\x00\x00")
