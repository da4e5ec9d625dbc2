"""Byte grammar of the files of a JPEG codec: an automaton without dead ends.

Any sequence of legal bytes from the start to the end is a file that every decoder opens without a
warning.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from modules.codec_lm.byte_grammar import NUM_BYTES, ByteGrammar
from modules.codec_lm.jpeg.block_bits import ILLEGAL
from modules.codec_lm.jpeg.markers import EOI, RST0
from modules.codec_lm.jpeg.scan import FULL, Scan

SLACK = 8
"""Upper bound on the bytes by which one byte can lengthen the shortest completion."""

Phase = Literal["header", "scan", "stuffing", "marker", "number", "end"]
"""In the header; within an interval; after an FF in it; at a marker's FF; at its second byte; at
the end."""


class JpegState(NamedTuple):
    """Position within a file.

    Attributes:
        phase: Part of the file.
        at: Bytes of the header written, or the state of the scan.
        done: MCUs completed.
    """

    phase: Phase
    at: int
    done: int


@dataclass(frozen=True)
class JpegGrammar(ByteGrammar[JpegState]):
    """All files of one size and setting.

    Attributes:
        scan: Codes and blocks of an MCU.
        num_mcus: MCUs of a file.
        interval: MCUs between two restart markers; `num_mcus` without restart markers.
        header: First bytes of all sequences; may be empty.
        has_end: Whether sequences end with an end-of-image marker.
    """

    scan: Scan
    num_mcus: int
    interval: int
    header: bytes = b""
    has_end: bool = True

    @property
    @override
    def start(self) -> JpegState:
        """The state before the first byte."""
        return JpegState("header", 0, 0) if self.header else JpegState("scan", 0, 0)

    @override
    def is_end(self, state: JpegState) -> bool:
        """Whether the file is complete."""
        return state.phase == "end"

    def left(self, done: int) -> int:
        """MCUs left in the current interval."""
        return min(self.interval - done % self.interval, self.num_mcus - done)

    @override
    def mask(self, state: JpegState) -> NDArray[np.bool_]:
        if state.phase == "scan":
            return self.scan.transitions(state.at, self.left(state.done)).state_V != ILLEGAL
        legal_V = np.zeros(NUM_BYTES, np.bool_)
        byte = self.forced(state)
        if byte is not None:
            legal_V[byte] = True
        return legal_V

    def forced(self, state: JpegState) -> int | None:
        """The only legal byte; None if there are several, or none at the end."""
        if state.phase == "header":
            return self.header[state.at]
        if state.phase == "stuffing":
            return 0
        if state.phase == "marker":
            return 0xFF
        if state.phase == "number":
            return EOI if state.done == self.num_mcus else RST0 + self._restarts(state.done) % 8
        if state.phase == "scan":
            legal = np.flatnonzero(self.mask(state))
            return int(legal[0]) if len(legal) == 1 else None
        return None

    def _restarts(self, done: int) -> int:
        """Number of restart markers before the one after `done` MCUs."""
        return done // self.interval - 1

    @override
    def reach(self, state: JpegState, byte: int) -> JpegState | None:
        """The state after a byte; None if the byte is not legal."""
        phase, at, done = state
        if phase == "scan":
            transitions = self.scan.transitions(at, self.left(done))
            scan_state = int(transitions.state_V[byte])
            if scan_state == ILLEGAL:
                return None
            done += int(transitions.ended_V[byte])
            if byte == 0xFF:
                return JpegState("stuffing", scan_state, done)
            return self._at(scan_state, done)
        return self._outside_scan(state) if byte == self.forced(state) else None

    def _outside_scan(self, state: JpegState) -> JpegState:
        """The state after the only legal byte."""
        phase, at, done = state
        if phase == "header":
            return self._at(0, 0) if at + 1 == len(self.header) else JpegState(phase, at + 1, 0)
        if phase == "stuffing":
            return self._at(at, done)
        if phase == "marker":
            return JpegState("number", 0, done)
        return JpegState("end", 0, done) if done == self.num_mcus else JpegState("scan", 0, done)

    @override
    def advance(self, state: JpegState, byte: int) -> JpegState:
        """The state after a byte.

        Raises:
            ValueError: The byte is not legal.
        """
        following = self.reach(state, byte)
        if following is None:
            raise ValueError(f"byte {byte:02X} is not legal here: {state}.")
        return following

    def _at(self, scan_state: int, done: int) -> JpegState:
        """The state within an interval, or after it."""
        if scan_state != FULL:
            return JpegState("scan", scan_state, done)
        if done == self.num_mcus and not self.has_end:
            return JpegState("end", 0, done)
        return JpegState("marker", 0, done)

    # The shortest completion

    @override
    def cost(self, state: JpegState) -> int:
        """The fewest bytes that complete the file."""
        phase, at, done = state
        if phase == "end":
            return 0
        if phase == "header":
            return len(self.header) - at + self.cost(JpegState("scan", 0, 0))
        if phase == "marker":
            return 1 + self.cost(JpegState("number", 0, done))
        if phase == "number":
            return 1 + self.cost(JpegState("end" if done == self.num_mcus else "scan", 0, done))
        if phase == "stuffing":
            return 1 + self.cost(self._at(at, done))
        left = self.left(done)
        return self.scan.cost(at, left) + self._after_interval(done + left)

    @override
    def margin(self, state: JpegState) -> float:
        return SLACK

    @override
    def slack(self, num: int) -> int:
        """The most by which the cost can rise while `num` bytes are written."""
        return num * SLACK

    def _after_interval(self, done: int) -> int:
        """The fewest bytes after the interval that ends with `done` MCUs."""
        return self._interval_costs[-(-(self.num_mcus - done) // self.interval)]

    @cached_property
    def _interval_costs(self) -> list[int]:
        """The same, by the number of intervals that follow."""
        sizes = [
            min(self.interval, self.num_mcus - at) for at in range(0, self.num_mcus, self.interval)
        ]
        costs = [2 if self.has_end else 0]
        for size in reversed(sizes[1:]):
            costs.append(2 + self.scan.cost(0, size) + costs[-1])
        return costs
