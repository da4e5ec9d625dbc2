"""Which byte may come next in a file of a JPEG codec: an automaton without dead ends.

Whoever writes only bytes that it calls legal, from the start until it says that the file is at its
end, has written a file that every decoder opens without a warning.
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
"""Bytes by which one byte may make the shortest way to the end longer, and more."""

Phase = Literal["header", "scan", "stuffing", "marker", "number", "end"]
"""In the header; inside an interval; behind an FF in it; at a marker's FF; at its number; at the
end."""


class JpegState(NamedTuple):
    """Where in a file a writer stands.

    Attributes:
        phase: Which part of the file.
        at: Bytes of the header written, or the state of the scan.
        done: MCUs written.
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
        interval: MCUs between two restart markers; `num_mcus` where there are none.
        header: What files begin with; empty where it is left out.
        has_end: Whether files end in an end-of-image marker.
    """

    scan: Scan
    num_mcus: int
    interval: int
    header: bytes = b""
    has_end: bool = True

    @property
    @override
    def start(self) -> JpegState:
        """Before the first byte."""
        return JpegState("header", 0, 0) if self.header else JpegState("scan", 0, 0)

    @override
    def is_end(self, state: JpegState) -> bool:
        """Whether the file is complete."""
        return state.phase == "end"

    def left(self, done: int) -> int:
        """MCUs left in the interval that is being written."""
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
        """The only byte that may come next; None where there are several, or none at the end."""
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
        """Restart markers before the one behind `done` MCUs."""
        return done // self.interval - 1

    @override
    def reach(self, state: JpegState, byte: int) -> JpegState | None:
        """Where a byte leads; None where it is not legal."""
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
        return self._beside_scan(state) if byte == self.forced(state) else None

    def _beside_scan(self, state: JpegState) -> JpegState:
        """Where the only legal byte leads."""
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
        """Where a byte leads.

        Raises:
            ValueError: The byte is not legal.
        """
        behind = self.reach(state, byte)
        if behind is None:
            raise ValueError(f"byte {byte:02X} is not legal here: {state}.")
        return behind

    def _at(self, scan_state: int, done: int) -> JpegState:
        """Inside an interval, or behind it."""
        if scan_state != FULL:
            return JpegState("scan", scan_state, done)
        if done == self.num_mcus and not self.has_end:
            return JpegState("end", 0, done)
        return JpegState("marker", 0, done)

    # The shortest way to the end

    @override
    def cost(self, state: JpegState) -> int:
        """The fewest bytes to a proper end."""
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
        return self.scan.cost(at, left) + self._behind(done + left)

    @override
    def margin(self, state: JpegState) -> float:
        return SLACK

    @override
    def slack(self, num: int) -> int:
        """By how much that may grow at most while so many bytes are written."""
        return num * SLACK

    def _behind(self, done: int) -> int:
        """The fewest bytes behind the interval that ends with `done` MCUs."""
        return self._behinds[-(-(self.num_mcus - done) // self.interval)]

    @cached_property
    def _behinds(self) -> list[int]:
        """The same by the number of intervals that follow."""
        sizes = [
            min(self.interval, self.num_mcus - at) for at in range(0, self.num_mcus, self.interval)
        ]
        found = [2 if self.has_end else 0]
        for size in reversed(sizes[1:]):
            found.append(2 + self.scan.cost(0, size) + found[-1])
        return found

    # Whole files

    def forced_run(self, state: JpegState) -> tuple[bytes, JpegState]:
        """The bytes that must come next, and where they lead."""
        run = bytearray()
        while (byte := self.forced(state)) is not None:
            run.append(byte)
            state = self.advance(state, byte)
        return bytes(run), state
