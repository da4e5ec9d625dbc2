"""Byte grammar of the streams of an H.264 codec: an automaton without dead ends.

Any sequence of legal bytes from the start to the end is a stream with all frames of a clip, each
with all its macroblocks in order, one slice each; and a decoder reads every slice to its last bit
without an error.
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
from modules.codec_lm.h264.shortest import ShortestFrames, position_after

SLACK = 12
"""Bytes by which one byte of a slice may lengthen the shortest completion: twice what a search for
the worst byte found."""
Phase = Literal["code", "mark", "payload", "escaped", "end"]
"""In a start code; at the byte with the unit's type; in a slice; after an emulation prevention byte
in it; at the end."""
NOTHING = Position("moving", -1, LOOP - 1)
"""Position before the first frame."""


class AvcState(NamedTuple):
    """Position within a stream.

    Attributes:
        phase: What comes next.
        frame: Index of the frame.
        macroblock: Slices of the frame that are complete.
        position: Position of the frame in its group; until its first slice is complete, that of
            the frame before.
        at: Bytes of the start code written.
        is_refresh: Whether the unit belongs to an IDR frame.
        slice_state: State within the slice; None outside of one.
        zeros: Number of bytes 00 just before, 0 to 2.
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
        headers: Writes slice headers.
        num_frames: Frames of a stream.
        gop: Most frames from one IDR frame to the next.
    """

    headers: Headers
    num_frames: int
    gop: int

    @property
    @override
    def start(self) -> AvcState:
        """The state before the first byte."""
        return AvcState("code", 0, 0, NOTHING)

    @property
    def num_slices(self) -> int:
        """Slices of a frame."""
        return self.headers.parameters.num_macroblocks

    @override
    def is_end(self, state: AvcState) -> bool:
        """Whether the stream is complete."""
        return state.phase == "end"

    # Legal bytes

    def chooses(self, state: AvcState) -> bool:
        """Whether the next byte may decide the kind of the whole frame."""
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
        """Legal bytes outside of a slice."""
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
        """Kinds that the frame of the next slice may have."""
        if state.macroblock:
            return [state.position.kind]
        if state.frame == 0 or state.position.since + 1 == self.gop:
            return ["refresh"]
        return ["refresh", "still", "moving"]

    @override
    def reach(self, state: AvcState, byte: int) -> AvcState | None:
        """The state after a byte; None if the byte is not legal."""
        if state.phase == "code":
            return self._in_code(state) if byte == self._code(state)[state.at] else None
        if state.phase == "mark":
            return self._after_mark(state, byte)
        return None if state.phase == "end" else self._in_slice(state, byte)

    def _in_code(self, state: AvcState) -> AvcState:
        is_whole = state.at + 1 == len(self._code(state))
        return state._replace(phase="mark" if is_whole else "code", at=state.at + 1)

    def _after_mark(self, state: AvcState, byte: int) -> AvcState | None:
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
            before if state.macroblock else position_after(before, kind), state.macroblock
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
        following = reach(slice_state, byte)
        if following is None:
            return None
        if payload.is_full(following):
            return self._after_slice(state, following)
        zeros = zeros + 1 if byte == 0 else 0
        return state._replace(phase="payload", slice_state=following, zeros=zeros)

    def _after_slice(self, state: AvcState, slice_state: SliceState) -> AvcState:
        position, done = self._position(state, slice_state), state.macroblock + 1
        if done < self.num_slices:
            return AvcState("code", state.frame, done, position)
        is_last = state.frame + 1 == self.num_frames
        return AvcState("end" if is_last else "code", state.frame + 1, 0, position)

    def _position(self, state: AvcState, slice_state: SliceState) -> Position:
        """Position of the frame of a slice, as far as known."""
        if state.macroblock:
            return state.position
        kind: Kind = "moving" if references(slice_state) else "still"
        return position_after(state.position, "refresh" if state.is_refresh else kind)

    @override
    def advance(self, state: AvcState, byte: int) -> AvcState:
        """The state after a byte.

        Raises:
            ValueError: The byte is not legal.
        """
        following = self.reach(state, byte)
        if following is None:
            raise ValueError(
                f"byte {byte:02X} is not legal in frame {state.frame}, macroblock "
                f"{state.macroblock} ({state.phase})."
            )
        return following

    # The shortest completion

    @override
    def cost(self, state: AvcState) -> int:
        """The fewest bytes that complete the stream, or slightly more."""
        if state.phase == "end":
            return 0
        if state.slice_state is None:
            position = state.position if state.macroblock else self.shortest.after(state.position)
            slices = self.shortest.slices(position, state.macroblock)
            return slices - state.at + self.shortest.frames_after(state.frame, position)
        if state.phase == "escaped":
            following = (self.reach(state, byte) for byte in range(ESCAPE + 1))
            return 1 + min(self.cost(after) for after in following if after is not None)
        position = self._position(state, state.slice_state)
        slices = self.shortest.slices(position, state.macroblock + 1)
        own = payload.cost(shortest_payload(state.slice_state), state.zeros)
        return own + slices + self.shortest.frames_after(state.frame, position)

    @override
    def margin(self, state: AvcState) -> float:
        return inf if self.chooses(state) else SLACK

    @override
    def slack(self, num: int) -> int:
        """The most by which the cost can rise while `num` bytes are written."""
        return num * SLACK + (num // len(FIRST) + 1) * self.shortest.stillness

    @cached_property
    def shortest(self) -> ShortestFrames:
        """The shortest frames of these settings."""
        return ShortestFrames(self.headers, self.num_frames, self.gop)


@lru_cache(1 << 13)
def payload_mask(slice_state: SliceState, zeros: int, is_escaped: bool) -> NDArray[np.bool_]:
    """Which bytes may come next in a slice, [V]; read-only."""
    legal_V = np.array([following is not None for following in next_states(slice_state)])
    if is_escaped:
        legal_V[ESCAPE + 1 :] = False
    elif zeros == 2:
        can_escape = legal_V[: ESCAPE + 1].any()
        legal_V[: ESCAPE + 1] = False
        legal_V[ESCAPE] = can_escape
    legal_V.flags.writeable = False
    return legal_V
