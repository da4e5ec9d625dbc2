"""Which byte may come next in a stream of an H.264 codec: an automaton without dead ends.

Whoever writes only bytes that it calls legal, from the start until it says that the stream is at
its end, has written as many pictures as a clip has, each with all its macroblocks in order, a slice
for each, and every slice one that a decoder reads to its last bit without an error.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from modules.codec_lm.byte_grammar import NUM_BYTES, ByteGrammar
from modules.codec_lm.h264.bitstream import slice_payload as payload
from modules.codec_lm.h264.bitstream.macroblock import State
from modules.codec_lm.h264.bitstream.nal import ESCAPE, FIRST, START
from modules.codec_lm.h264.bitstream.slice_headers import LOOP, MARK, Headers, Kind, Position
from modules.codec_lm.h264.bitstream.slice_payload import leaps, opening, reach, references, way
from modules.codec_lm.h264.shortest import ShortPictures, following

SLACK = 12
"""Bytes by which one byte of a slice may make the shortest way to the end longer: twice what a
search for the worst byte found."""
Phase = Literal["code", "mark", "payload", "escaped", "end"]
"""In a start code; at the byte that tells the unit's type; in a slice; behind an escape in it; at
the end."""
NOTHING = Position("moving", -1, LOOP - 1)
"""Before the first picture."""


class Place(NamedTuple):
    """Where in a stream a writer stands.

    Attributes:
        phase: What comes next.
        frame: Number of the picture, from 0.
        macroblock: Slices of it that are complete.
        position: Of the picture; before its second slice, of the one before.
        at: Bytes of the start code written.
        is_refresh: Whether the unit says so.
        state: Of the slice.
        zeros: Bytes 00 written right before, 0 to 2.
    """

    phase: Phase
    frame: int
    macroblock: int
    position: Position
    at: int = 0
    is_refresh: bool = False
    state: State | None = None
    zeros: int = 0


@dataclass(frozen=True)
class AvcGrammar(ByteGrammar[Place]):
    """All streams of one length, size and setting.

    Attributes:
        headers: Of slices.
        num_frames: Pictures of a stream.
        gop: Pictures from a refresh to the next one, at most.
    """

    headers: Headers
    num_frames: int
    gop: int

    @property
    @override
    def start(self) -> Place:
        """Before the first byte."""
        return Place("code", 0, 0, NOTHING)

    @property
    def num_slices(self) -> int:
        """Of a picture."""
        return self.headers.parameters.num_macroblocks

    @override
    def is_end(self, place: Place) -> bool:
        """Whether the stream is complete."""
        return place.phase == "end"

    # Which byte

    def chooses(self, place: Place) -> bool:
        """Whether the next byte may choose the kind of a whole picture."""
        is_header = place.state is not None and place.state[1].step == "header"
        return place.macroblock == 0 and (place.phase == "mark" or is_header)

    @override
    def mask(self, place: Place) -> NDArray[np.bool_]:
        if place.state is not None:
            return payload_mask(place.state, place.zeros, place.phase == "escaped")
        legal_V = np.zeros(NUM_BYTES, np.bool_)
        legal_V[self._choices(place)] = True
        return legal_V

    def _choices(self, place: Place) -> list[int]:
        """Bytes that may come next outside of a slice."""
        if place.phase == "code":
            return [self._code(place)[place.at]]
        if place.phase == "mark":
            kinds = self._kinds(place)
            return sorted({MARK[kind] for kind in kinds})
        return []

    @staticmethod
    def _code(place: Place) -> bytes:
        return START if place.macroblock else FIRST

    def _kinds(self, place: Place) -> list[Kind]:
        """Kinds that the picture of the next slice may have."""
        if place.macroblock:
            return [place.position.kind]
        if place.frame == 0 or place.position.since + 1 == self.gop:
            return ["refresh"]
        return ["refresh", "still", "moving"]

    @override
    def reach(self, place: Place, byte: int) -> Place | None:
        """Where a byte leads; None where it is not legal."""
        if place.phase == "code":
            return self._in_code(place) if byte == self._code(place)[place.at] else None
        if place.phase == "mark":
            return self._behind_mark(place, byte)
        return None if place.phase == "end" else self._in_slice(place, byte)

    def _in_code(self, place: Place) -> Place:
        is_whole = place.at + 1 == len(self._code(place))
        return place._replace(phase="mark" if is_whole else "code", at=place.at + 1)

    def _behind_mark(self, place: Place, byte: int) -> Place | None:
        kinds = [kind for kind in self._kinds(place) if MARK[kind] == byte]
        if not kinds:
            return None
        state = opening(tuple(self._header(place, kind) for kind in kinds))
        return place._replace(phase="payload", at=0, is_refresh="refresh" in kinds, state=state)

    def _header(self, place: Place, kind: Kind) -> tuple[str, int]:
        before = place.position
        return self.short.header(
            before if place.macroblock else following(before, kind), place.macroblock
        )

    def _in_slice(self, place: Place, byte: int) -> Place | None:
        state, zeros = place.state, place.zeros
        assert state is not None
        is_escaped = place.phase == "escaped"
        if zeros == 2 and not is_escaped and byte <= ESCAPE:
            can_be = byte == ESCAPE and any(leaps(state)[: ESCAPE + 1])
            return place._replace(phase="escaped", zeros=0) if can_be else None
        if is_escaped and byte > ESCAPE:
            return None
        behind = reach(state, byte)
        if behind is None:
            return None
        if payload.is_full(behind):
            return self._behind_slice(place, behind)
        zeros = zeros + 1 if byte == 0 else 0
        return place._replace(phase="payload", state=behind, zeros=zeros)

    def _behind_slice(self, place: Place, state: State) -> Place:
        position, done = self._position(place, state), place.macroblock + 1
        if done < self.num_slices:
            return Place("code", place.frame, done, position)
        is_last = place.frame + 1 == self.num_frames
        return Place("end" if is_last else "code", place.frame + 1, 0, position)

    def _position(self, place: Place, state: State) -> Position:
        """The picture of a slice, as far as is known."""
        if place.macroblock:
            return place.position
        kind: Kind = "moving" if references(state) else "still"
        return following(place.position, "refresh" if place.is_refresh else kind)

    @override
    def advance(self, place: Place, byte: int) -> Place:
        """Where a byte leads.

        Raises:
            ValueError: The byte is not legal.
        """
        behind = self.reach(place, byte)
        if behind is None:
            raise ValueError(
                f"byte {byte:02X} is not legal in frame {place.frame}, macroblock "
                f"{place.macroblock} ({place.phase})."
            )
        return behind

    # The shortest way to the end

    @override
    def cost(self, place: Place) -> int:
        """The fewest bytes to a proper end, or hardly more."""
        if place.phase == "end":
            return 0
        if place.state is None:
            position = place.position if place.macroblock else self.short.after(place.position)
            slices = self.short.slices(position, place.macroblock)
            return slices - place.at + self.short.pictures(place.frame, position)
        if place.phase == "escaped":
            behind = (self.reach(place, byte) for byte in range(ESCAPE + 1))
            return 1 + min(self.cost(one) for one in behind if one is not None)
        position = self._position(place, place.state)
        slices = self.short.slices(position, place.macroblock + 1)
        own = payload.cost(way(place.state), place.zeros)
        return own + slices + self.short.pictures(place.frame, position)

    @override
    def margin(self, place: Place) -> float:
        return inf if self.chooses(place) else SLACK

    @override
    def slack(self, num: int) -> int:
        """By how much that may grow at most while so many bytes are written."""
        return num * SLACK + (num // len(FIRST) + 1) * self.short.stillness

    @cached_property
    def short(self) -> ShortPictures:
        """What whole pictures take."""
        return ShortPictures(self.headers, self.num_frames, self.gop)


@lru_cache(1 << 13)
def payload_mask(state: State, zeros: int, is_escaped: bool) -> NDArray[np.bool_]:
    """Which bytes may come next in a slice, [V]; not to be written to."""
    legal_V = np.array([behind is not None for behind in leaps(state)])
    if is_escaped:
        legal_V[ESCAPE + 1 :] = False
    elif zeros == 2:
        can_escape = legal_V[: ESCAPE + 1].any()
        legal_V[: ESCAPE + 1] = False
        legal_V[ESCAPE] = can_escape
    legal_V.flags.writeable = False
    return legal_V
