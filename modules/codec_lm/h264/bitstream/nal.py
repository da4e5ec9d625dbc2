"""NAL units of an H.264 byte stream (ITU-T H.264, 7.3.1 and annex B).

A unit follows a start code. It must not contain the bytes 000000 to 000003: after two zeros, an
emulation prevention byte 03 is inserted on writing and removed on reading.
"""

import re
from dataclasses import dataclass

START = b"\x00\x00\x01"
"""Start code of a unit; the first one of a frame has another zero before it."""
FIRST = b"\x00" + START
ESCAPE = 0x03
SLICE, IDR_SLICE, SEI, SPS, PPS = 1, 5, 6, 7, 8
"""Types of units: slice; slice of an IDR frame (instantaneous decoding refresh); supplemental
information, such as comments; sequence parameter set; picture parameter set."""


@dataclass(frozen=True)
class Unit:
    """The bytes between two start codes.

    Attributes:
        body: All of them: first the byte with the type; with emulation prevention bytes.
    """

    body: bytes

    @property
    def kind(self) -> int:
        """Type of the unit."""
        return self.body[0] & 31

    @property
    def payload(self) -> bytes:
        """The bytes after the first, without emulation prevention bytes."""
        return unescape(self.body[1:])


def units(stream: bytes) -> list[Unit]:
    """The units of a stream; bytes before the first start code are ignored.

    Raises:
        ValueError: There is no unit.
    """
    parts = [part.rstrip(b"\x00") for part in stream.split(START)[1:]]
    units = [Unit(part) for part in parts if part]
    if not units:
        raise ValueError(f"no start code in {len(stream)} bytes: this is no H.264 byte stream.")
    return units


def join(frames: list[list[Unit]]) -> bytes:
    """A stream of frames, each of which starts with the longer start code."""
    return b"".join(
        (START if index else FIRST) + unit.body
        for frame in frames
        for index, unit in enumerate(frame)
    )


def escape(payload: bytes) -> bytes:
    """A payload with emulation prevention bytes (7.4.1.1)."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", payload)


def unescape(body: bytes) -> bytes:
    """The payload of a unit: the inverse of `escape`."""
    return body.replace(b"\x00\x00\x03", b"\x00\x00")
