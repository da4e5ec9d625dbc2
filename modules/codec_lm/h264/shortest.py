"""How many bytes the shortest pictures of an H.264 stream take, or hardly more."""

from dataclasses import dataclass
from functools import cached_property

from modules.codec_lm.h264.bitstream.nal import FIRST, START
from modules.codec_lm.h264.bitstream.slice_headers import LOOP, Headers, Kind, Position
from modules.codec_lm.h264.bitstream.slice_payload import cost, opening, shortest_payload


def following(before: Position, kind: Kind) -> Position:
    """The picture behind another one."""
    if kind == "refresh":
        return Position(kind, 0, (before.refresh + 1) % LOOP)
    return Position(kind, before.since + 1, before.refresh)


@dataclass(frozen=True)
class ShortestFrames:
    """Pictures of which each slice says as little as it can.

    Attributes:
        headers: Of slices.
        num_frames: Pictures of a stream.
        gop: Pictures from a refresh to the next one, at most.
    """

    headers: Headers
    num_frames: int
    gop: int

    def header(self, position: Position, macroblock: int) -> tuple[str, int]:
        """Bits of a slice's header, and the earlier pictures that the picture may hang on."""
        is_moving = position.kind == "moving"
        num = self.headers.references(position.since) if is_moving else 0
        return self.headers.write(position, macroblock), num

    def after(self, before: Position) -> Position:
        """The shortest picture behind another one: one that hangs on it, if it may."""
        is_due = before.since < 0 or before.since + 1 == self.gop
        return following(before, "refresh" if is_due else "moving")

    def slices(self, position: Position, macroblock: int) -> int:
        """Bytes of a picture's slices from one on, start codes included."""
        if position not in self._rests:
            self._rests[position] = self._measure(position)
        return self._rests[position][macroblock]

    @cached_property
    def _rests(self) -> dict[Position, list[int]]:
        return {}

    @cached_property
    def stillness(self) -> int:
        """Bytes that a stream takes more, at most, if one of its pictures hangs on no other."""
        num = self.headers.parameters.max_references
        moving = [self.slices(Position("moving", since, 0), 0) for since in range(1, num + 2)]
        still = max(self.slices(Position("refresh", 0, n), 0) for n in range(LOOP))
        behind = sum(one - min(moving) for one in moving)  # a refresh: few to hang on
        return still - min(moving) + behind

    def _measure(self, position: Position) -> list[int]:
        rests = [0]
        for macroblock in reversed(range(self.headers.parameters.num_macroblocks)):
            slice_ = shortest_payload(opening((self.header(position, macroblock),)))
            code = START if macroblock else FIRST
            rests.append(rests[-1] + len(code) + 1 + cost(slice_, 0))
        return rests[::-1]

    def frames_after(self, frame: int, position: Position) -> int:
        """Bytes of all pictures behind one.

        Args:
            frame: Its number.
            position: What it is.
        """
        chain = []
        while (key := (frame, position)) not in self._behind and frame + 1 < self.num_frames:
            chain.append(key)
            frame, position = frame + 1, self.after(position)
        total = self._behind.get(key, 0)
        for key in reversed(chain):
            total += self.slices(self.after(key[1]), 0)
            self._behind[key] = total
        return total

    @cached_property
    def _behind(self) -> dict[tuple[int, Position], int]:
        return {}
