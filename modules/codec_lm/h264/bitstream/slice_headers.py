"""Headers of slices of one macroblock, as x264 writes them (ITU-T H.264, 7.3.3).

A header is determined by the position of the slice in the clip, and by the kind of its frame.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader, fixed, unsigned
from modules.codec_lm.h264.bitstream.nal import IDR_SLICE, Unit
from modules.codec_lm.h264.bitstream.parameter_sets import Parameters

Kind = Literal["refresh", "still", "moving"]
"""An IDR frame: intra, and nothing after it refers to frames before it; another intra frame (I); a
predicted frame (P)."""
TYPE: dict[Kind, int] = {"refresh": 7, "still": 7, "moving": 5}
"""Types of slices: I and P, where all slices of the frame are of that type."""
MARK: dict[Kind, int] = {"refresh": 0x65, "still": 0x41, "moving": 0x41}
"""First byte of a unit: type and reference priority, as x264 writes it."""
UNFILTERED = 1
"""Deblocking is off, since it has no effect with so fine a quantiser."""
LOOP = 2
"""Number of identifiers of IDR frames, which are used in turn."""


class Position(NamedTuple):
    """Position of a frame in its group.

    Attributes:
        kind: Kind of the frame.
        since: Frames since the last IDR frame; 0 for an IDR frame.
        refresh: Identifier of the last IDR frame, modulo `LOOP`.
    """

    kind: Kind
    since: int
    refresh: int


@dataclass(frozen=True)
class Headers:
    """Writes slice headers.

    Attributes:
        parameters: The parameter sets of the stream.
        endings: Last bits of the headers of intra slices and of others: quantiser and deblocking,
            the same in the whole clip.
    """

    parameters: Parameters
    endings: tuple[str, str]

    def references(self, since: int) -> int:
        """Number of reference frames of a predicted frame."""
        return min(since, self.parameters.max_references)

    def write(self, position: Position, macroblock: int) -> str:
        """Bits of the header of one slice."""
        kind, since, refresh = position
        width, is_moving = self.parameters.frame_num_width, kind == "moving"
        bits = unsigned(macroblock) + unsigned(TYPE[kind]) + unsigned(0)
        bits += fixed(since % (1 << width), width)
        if kind == "refresh":
            bits += unsigned(refresh)
        if is_moving:
            bits += self._references(since)
        bits += "00" if kind == "refresh" else "0"  # no long-term reference; no reference marking
        return bits + self.endings[is_moving]

    def _references(self, since: int) -> str:
        num = self.references(since)
        is_default = num == self.parameters.default_references
        return ("0" if is_default else "1" + unsigned(num - 1)) + "0"  # in default order


def ending(parameters: Parameters, unit: Unit) -> str:
    """Last bits of a slice header: quantiser and deblocking.

    Raises:
        ValueError: The header has anything that x264 is not known to write.
    """
    bits = BitReader(unit.payload)
    bits.unsigned()
    kind, is_refresh = bits.unsigned(), unit.kind == IDR_SLICE
    bits.unsigned(), bits.fixed(parameters.frame_num_width)
    if is_refresh:
        bits.unsigned()
    if kind == TYPE["moving"]:
        if bits.fixed(1):
            bits.unsigned()
        _refuse(bits.fixed(1), "reordered reference frames")
    _refuse(bits.fixed(1 + is_refresh), "reference marking")
    start = bits.at
    bits.signed()
    if parameters.has_filter and bits.unsigned() != UNFILTERED:
        bits.signed(), bits.signed()
    return bits.bits[start : bits.at]


def _refuse(is_there: int, what: str) -> None:
    if is_there:
        raise ValueError(f"a slice has {what}.")
