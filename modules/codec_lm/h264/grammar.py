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
from modules.codec_lm.h264.bitstream.macroblock import SliceState
from modules.codec_lm.h264.bitstream.nal import ESCAPE, FIRST, START
from modules.codec_lm.h264.bitstream.slice_headers import LOOP, MARK, Headers, Kind, Position
from modules.codec_lm.h264.bitstream.slice_payload import (
    next_states,
    opening,
    reach,
    references,
    shortest_payload,
)
from modules.codec_lm.h264.shortest import ShortestFrames, following

SLACK = 12
"""Bytes by which one byte of a slice may lengthen the shortest completion: twice what a search for
the worst byte found."""
Phase = Literal["code", "mark", "payload", "escaped", "end"]
"""In a start code; at the byte that tells the unit's type; in a slice; behind an escape in it; at
the end."""
NOTHING = Position("moving", -1, LOOP - 1)
"""Before the first picture."""


class AvcState(NamedTuple):
    """Where in a stream a writer stands.

    Attributes:
        phase: What comes next.
        frame: Number of the picture, from 0.
        macroblock: Slices of it that are complete.
        position: Of the picture; before its second slice, of the one before.
        at: Bytes of the start code written.
        is_refresh: Whether the unit says so.
        slice_state: State within the slice; None outside of one.
        zeros: Bytes 00 written right before, 0 to 2.
    """

    phase: Phase
    frame: int
    macroblock: int
    position: Position
    at: int = 0
    is_refresh: bool = False
    slice_state: SliceState | None = None
    zeros: int = 0


@dataclass(frozen=True)
class AvcGrammar(ByteGrammar[AvcState]):
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
    def start(self) -> AvcState:
        """Before the first byte."""
        return AvcState("code", 0, 0, NOTHING)

    @property
    def num_slices(self) -> int:
        """Of a picture."""
        return self.headers.parameters.num_macroblocks

    @override
    def is_end(self, state: AvcState) -> bool:
        """Whether the stream is complete."""
        return state.phase == "end"

    # Which byte

    def chooses(self, state: AvcState) -> bool:
        """Whether the next byte may choose the kind of a whole picture."""
        is_header = state.slice_state is not None and state.slice_state[1].step == "header"
        return state.macroblock == 0 and (state.phase == "mark" or is_header)

    @override
    def mask(self, state: AvcState) -> NDArray[np.bool_]:
        if state.slice_state is not None:
            return payload_mask(state.slice_state, state.zeros, state.phase == "escaped")
        legal_V = np.zeros(NUM_BYTES, np.bool_)
        legal_V[self._choices(state)] = True
        return legal_V

    def _choices(self, state: AvcState) -> list[int]:
        """Bytes that may come next outside of a slice."""
        if state.phase == "code":
            return [self._code(state)[state.at]]
        if state.phase == "mark":
            kinds = self._kinds(state)
            return sorted({MARK[kind] for kind in kinds})
        return []

    @staticmethod
    def _code(state: AvcState) -> bytes:
        return START if state.macroblock else FIRST

    def _kinds(self, state: AvcState) -> list[Kind]:
        """Kinds that the picture of the next slice may have."""
        if state.macroblock:
            return [state.position.kind]
        if state.frame == 0 or state.position.since + 1 == self.gop:
            return ["refresh"]
        return ["refresh", "still", "moving"]

    @override
    def reach(self, state: AvcState, byte: int) -> AvcState | None:
        """Where a byte leads; None where it is not legal."""
        if state.phase == "code":
            return self._in_code(state) if byte == self._code(state)[state.at] else None
        if state.phase == "mark":
            return self._behind_mark(state, byte)
        return None if state.phase == "end" else self._in_slice(state, byte)

    def _in_code(self, state: AvcState) -> AvcState:
        is_whole = state.at + 1 == len(self._code(state))
        return state._replace(phase="mark" if is_whole else "code", at=state.at + 1)

    def _behind_mark(self, state: AvcState, byte: int) -> AvcState | None:
        kinds = [kind for kind in self._kinds(state) if MARK[kind] == byte]
        if not kinds:
            return None
        slice_state = opening(tuple(self._header(state, kind) for kind in kinds))
        return state._replace(
            phase="payload", at=0, is_refresh="refresh" in kinds, slice_state=slice_state
        )

    def _header(self, state: AvcState, kind: Kind) -> tuple[str, int]:
        before = state.position
        return self.shortest.header(
            before if state.macroblock else following(before, kind), state.macroblock
        )

    def _in_slice(self, state: AvcState, byte: int) -> AvcState | None:
        slice_state, zeros = state.slice_state, state.zeros
        assert slice_state is not None
        is_escaped = state.phase == "escaped"
        if zeros == 2 and not is_escaped and byte <= ESCAPE:
            can_be = byte == ESCAPE and any(next_states(slice_state)[: ESCAPE + 1])
            return state._replace(phase="escaped", zeros=0) if can_be else None
        if is_escaped and byte > ESCAPE:
            return None
        behind = reach(slice_state, byte)
        if behind is None:
            return None
        if payload.is_full(behind):
            return self._behind_slice(state, behind)
        zeros = zeros + 1 if byte == 0 else 0
        return state._replace(phase="payload", slice_state=behind, zeros=zeros)

    def _behind_slice(self, state: AvcState, slice_state: SliceState) -> AvcState:
        position, done = self._position(state, slice_state), state.macroblock + 1
        if done < self.num_slices:
            return AvcState("code", state.frame, done, position)
        is_last = state.frame + 1 == self.num_frames
        return AvcState("end" if is_last else "code", state.frame + 1, 0, position)

    def _position(self, state: AvcState, slice_state: SliceState) -> Position:
        """The picture of a slice, as far as is known."""
        if state.macroblock:
            return state.position
        kind: Kind = "moving" if references(slice_state) else "still"
        return following(state.position, "refresh" if state.is_refresh else kind)

    @override
    def advance(self, state: AvcState, byte: int) -> AvcState:
        """Where a byte leads.

        Raises:
            ValueError: The byte is not legal.
        """
        behind = self.reach(state, byte)
        if behind is None:
            raise ValueError(
                f"byte {byte:02X} is not legal in frame {state.frame}, macroblock "
                f"{state.macroblock} ({state.phase})."
            )
        return behind

    # The shortest completion

    @override
    def cost(self, state: AvcState) -> int:
        """The fewest bytes to a proper end, or hardly more."""
        if state.phase == "end":
            return 0
        if state.slice_state is None:
            position = state.position if state.macroblock else self.shortest.after(state.position)
            slices = self.shortest.slices(position, state.macroblock)
            return slices - state.at + self.shortest.frames_after(state.frame, position)
        if state.phase == "escaped":
            behind = (self.reach(state, byte) for byte in range(ESCAPE + 1))
            return 1 + min(self.cost(one) for one in behind if one is not None)
        position = self._position(state, state.slice_state)
        slices = self.shortest.slices(position, state.macroblock + 1)
        own = payload.cost(shortest_payload(state.slice_state), state.zeros)
        return own + slices + self.shortest.frames_after(state.frame, position)

    @override
    def margin(self, state: AvcState) -> float:
        return inf if self.chooses(state) else SLACK

    @override
    def slack(self, num: int) -> int:
        """By how much that may grow at most while so many bytes are written."""
        return num * SLACK + (num // len(FIRST) + 1) * self.shortest.stillness

    @cached_property
    def shortest(self) -> ShortestFrames:
        """What whole pictures take."""
        return ShortestFrames(self.headers, self.num_frames, self.gop)


@lru_cache(1 << 13)
def payload_mask(slice_state: SliceState, zeros: int, is_escaped: bool) -> NDArray[np.bool_]:
    """Which bytes may come next in a slice, [V]; not to be written to."""
    legal_V = np.array([behind is not None for behind in next_states(slice_state)])
    if is_escaped:
        legal_V[ESCAPE + 1 :] = False
    elif zeros == 2:
        can_escape = legal_V[: ESCAPE + 1].any()
        legal_V[: ESCAPE + 1] = False
        legal_V[ESCAPE] = can_escape
    legal_V.flags.writeable = False
    return legal_V
