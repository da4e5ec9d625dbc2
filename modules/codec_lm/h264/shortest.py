"""Sizes of the shortest frames of an H.264 stream, or slightly more."""

from dataclasses import dataclass
from functools import cached_property

from modules.codec_lm.h264.bitstream.nal import FIRST, START
from modules.codec_lm.h264.bitstream.slice_headers import LOOP, Headers, Kind, Position
from modules.codec_lm.h264.bitstream.slice_payload import cost, opening, shortest_payload


def position_after(before: Position, kind: Kind) -> Position:
    """Position of a frame of some kind that follows another frame."""
    if kind == "refresh":
        return Position(kind, 0, (before.refresh + 1) % LOOP)
    return Position(kind, before.since + 1, before.refresh)


@dataclass(frozen=True)
class ShortestFrames:
    """Frames whose slices are as short as possible.

    Attributes:
        headers: Writes slice headers.
        num_frames: Frames of a stream.
        gop: Most frames from one IDR frame to the next.
    """

    headers: Headers
    num_frames: int
    gop: int

    def header(self, position: Position, macroblock: int) -> tuple[str, int]:
        """Bits of a slice header, and the number of reference frames it can choose from."""
        is_moving = position.kind == "moving"
        num = self.headers.references(position.since) if is_moving else 0
        return self.headers.write(position, macroblock), num

    def after(self, before: Position) -> Position:
        """Position of the shortest frame after another: a predicted one, unless IDR is due."""
        is_due = before.since < 0 or before.since + 1 == self.gop
        return position_after(before, "refresh" if is_due else "moving")

    def slices(self, position: Position, macroblock: int) -> int:
        """Bytes of a frame's slices from a macroblock on, start codes included."""
        if position not in self._rests:
            self._rests[position] = self._measure(position)
        return self._rests[position][macroblock]

    @cached_property
    def _rests(self) -> dict[Position, list[int]]:
        return {}

    @cached_property
    def stillness(self) -> int:
        """Most bytes by which a stream grows if one of its frames is not predicted."""
        num = self.headers.parameters.max_references
        moving = [self.slices(Position("moving", since, 0), 0) for since in range(1, num + 2)]
        still = max(self.slices(Position("refresh", 0, n), 0) for n in range(LOOP))
        later = sum(size - min(moving) for size in moving)  # an IDR frame leaves few references
        return still - min(moving) + later

    def _measure(self, position: Position) -> list[int]:
        rests = [0]
        for macroblock in reversed(range(self.headers.parameters.num_macroblocks)):
            slice_ = shortest_payload(opening((self.header(position, macroblock),)))
            code = START if macroblock else FIRST
            rests.append(rests[-1] + len(code) + 1 + cost(slice_, 0))
        return rests[::-1]

    def frames_after(self, frame: int, position: Position) -> int:
        """Bytes of all frames after one.

        Args:
            frame: Its index.
            position: Its position.
        """
        chain = []
        while (key := (frame, position)) not in self._later and frame + 1 < self.num_frames:
            chain.append(key)
            frame, position = frame + 1, self.after(position)
        total = self._later.get(key, 0)
        for key in reversed(chain):
            total += self.slices(self.after(key[1]), 0)
            self._later[key] = total
        return total

    @cached_property
    def _later(self) -> dict[tuple[int, Position], int]:
        return {}
