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


class Place(NamedTuple):
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
class JpegGrammar(ByteGrammar[Place]):
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
    def start(self) -> Place:
        """Before the first byte."""
        return Place("header", 0, 0) if self.header else Place("scan", 0, 0)

    @override
    def is_end(self, place: Place) -> bool:
        """Whether the file is complete."""
        return place.phase == "end"

    def left(self, done: int) -> int:
        """MCUs left in the interval that is being written."""
        return min(self.interval - done % self.interval, self.num_mcus - done)

    @override
    def mask(self, place: Place) -> NDArray[np.bool_]:
        if place.phase == "scan":
            return self.scan.leap(place.at, self.left(place.done)).state_V != ILLEGAL
        legal_V = np.zeros(NUM_BYTES, np.bool_)
        byte = self.forced(place)
        if byte is not None:
            legal_V[byte] = True
        return legal_V

    def forced(self, place: Place) -> int | None:
        """The only byte that may come next; None where there are several, or none at the end."""
        if place.phase == "header":
            return self.header[place.at]
        if place.phase == "stuffing":
            return 0
        if place.phase == "marker":
            return 0xFF
        if place.phase == "number":
            return EOI if place.done == self.num_mcus else RST0 + self._restarts(place.done) % 8
        if place.phase == "scan":
            legal = np.flatnonzero(self.mask(place))
            return int(legal[0]) if len(legal) == 1 else None
        return None

    def _restarts(self, done: int) -> int:
        """Restart markers before the one behind `done` MCUs."""
        return done // self.interval - 1

    @override
    def reach(self, place: Place, byte: int) -> Place | None:
        """Where a byte leads; None where it is not legal."""
        phase, at, done = place
        if phase == "scan":
            leap = self.scan.leap(at, self.left(done))
            state = int(leap.state_V[byte])
            if state == ILLEGAL:
                return None
            done += int(leap.ended_V[byte])
            return Place("stuffing", state, done) if byte == 0xFF else self._at(state, done)
        return self._beside_scan(place) if byte == self.forced(place) else None

    def _beside_scan(self, place: Place) -> Place:
        """Where the only legal byte leads."""
        phase, at, done = place
        if phase == "header":
            return self._at(0, 0) if at + 1 == len(self.header) else Place(phase, at + 1, 0)
        if phase == "stuffing":
            return self._at(at, done)
        if phase == "marker":
            return Place("number", 0, done)
        return Place("end", 0, done) if done == self.num_mcus else Place("scan", 0, done)

    @override
    def advance(self, place: Place, byte: int) -> Place:
        """Where a byte leads.

        Raises:
            ValueError: The byte is not legal.
        """
        behind = self.reach(place, byte)
        if behind is None:
            raise ValueError(f"byte {byte:02X} is not legal here: {place}.")
        return behind

    def _at(self, state: int, done: int) -> Place:
        """Inside an interval, or behind it."""
        if state != FULL:
            return Place("scan", state, done)
        if done == self.num_mcus and not self.has_end:
            return Place("end", 0, done)
        return Place("marker", 0, done)

    # The shortest way to the end

    @override
    def cost(self, place: Place) -> int:
        """The fewest bytes to a proper end."""
        phase, at, done = place
        if phase == "end":
            return 0
        if phase == "header":
            return len(self.header) - at + self.cost(Place("scan", 0, 0))
        if phase == "marker":
            return 1 + self.cost(Place("number", 0, done))
        if phase == "number":
            more = Place("end", 0, done) if done == self.num_mcus else Place("scan", 0, done)
            return 1 + self.cost(more)
        if phase == "stuffing":
            return 1 + self.cost(self._at(at, done))
        left = self.left(done)
        return self.scan.cost(at, left) + self._behind(done + left)

    @override
    def margin(self, place: Place) -> float:
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

    def forced_run(self, place: Place) -> tuple[bytes, Place]:
        """The bytes that must come next, and where they lead."""
        run = bytearray()
        while (byte := self.forced(place)) is not None:
            run.append(byte)
            place = self.advance(place, byte)
        return bytes(run), place
