"""Headers of slices, one macroblock each, as x264 writes them (ITU-T H.264, 7.3.3).

All of a header follows from where in the clip the slice stands, and from the kind of its picture.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader, fixed, unsigned
from modules.codec_lm.h264.bitstream.nal import IDR_SLICE, Unit
from modules.codec_lm.h264.bitstream.parameter_sets import Parameters

Kind = Literal["refresh", "still", "moving"]
"""A picture that hangs on nothing, and nothing behind it on what was before; one that hangs on
nothing; one that hangs on those before."""
TYPE: dict[Kind, int] = {"refresh": 7, "still": 7, "moving": 5}
"""Types of slices: I and P, of pictures that have no others."""
MARK: dict[Kind, int] = {"refresh": 0x65, "still": 0x41, "moving": 0x41}
"""First byte of a unit: its type, and how much hangs on it, as x264 says it."""
UNFILTERED = 1
"""Kind of filter: none, where the quantiser is so fine that it would do nothing."""
LOOP = 2
"""Numbers of refreshes, which take turns."""


class Position(NamedTuple):
    """A picture among those of a clip.

    Attributes:
        kind: Of the picture.
        since: Pictures since the last refresh; 0 if it is one.
        refresh: Number of the last refresh, modulo `LOOP`.
    """

    kind: Kind
    since: int
    refresh: int


@dataclass(frozen=True)
class Headers:
    """Writes the headers of all slices of a setting.

    Attributes:
        parameters: Of the stream.
        endings: What headers end in, of slices that hang on nothing, and of others: quantiser and
            filter, which are the same in the whole clip.
    """

    parameters: Parameters
    endings: tuple[str, str]

    def references(self, since: int) -> int:
        """Earlier pictures that a moving picture may hang on."""
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
        bits += "00" if kind == "refresh" else "0"  # keep no picture for long; no special marks
        return bits + self.endings[is_moving]

    def _references(self, since: int) -> str:
        num = self.references(since)
        is_default = num == self.parameters.default_references
        return ("0" if is_default else "1" + unsigned(num - 1)) + "0"  # in their usual order


def ending(parameters: Parameters, unit: Unit) -> str:
    """What the header of a slice ends in: quantiser and filter.

    Raises:
        ValueError: The slice has anything that x264 is not known to write.
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
        _refuse(bits.fixed(1), "an unusual order of earlier pictures")
    _refuse(bits.fixed(1 + is_refresh), "marks on earlier pictures")
    start = bits.at
    bits.signed()
    if parameters.has_filter and bits.unsigned() != UNFILTERED:
        bits.signed(), bits.signed()
    return bits.bits[start : bits.at]


def _refuse(is_there: int, what: str) -> None:
    if is_there:
        raise ValueError(f"a slice has {what}.")
