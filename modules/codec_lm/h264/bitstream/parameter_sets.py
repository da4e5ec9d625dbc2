"""What an H.264 stream says once of all its pictures (ITU-T H.264, 7.3.2.1 and 7.3.2.2).

Only as much as baseline streams of whole frames need: others are refused.
"""

from dataclasses import dataclass

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader
from modules.codec_lm.h264.bitstream.nal import PPS, SPS, units

BASELINE = 66


@dataclass(frozen=True)
class Parameters:
    """Parameters of a sequence and of its pictures.

    Attributes:
        columns: Macroblocks of a row.
        rows: Rows of macroblocks.
        frame_num_width: Bits of a picture's number.
        max_references: Earlier pictures that a picture may hang on, at most.
        default_references: As many it hangs on unless a slice says otherwise.
        has_filter: Whether slices say how edges of blocks are smoothed.
        quantiser: That of slices unless they say otherwise, 0 to 51.
    """

    columns: int
    rows: int
    frame_num_width: int
    max_references: int
    default_references: int
    has_filter: bool
    quantiser: int

    @property
    def num_macroblocks(self) -> int:
        """Of a picture."""
        return self.columns * self.rows


def read_parameters(stream: bytes) -> Parameters:
    """The parameters of a stream.

    Raises:
        ValueError: They are not there, break off, or are of another kind than is read here.
    """
    found = {unit.kind: BitReader(unit.payload) for unit in units(stream)}
    if SPS not in found or PPS not in found:
        raise ValueError(f"units of types {sorted(found)}, but {SPS} and {PPS} are needed.")
    width, references, columns, rows = _sequence(found[SPS])
    default, quantiser, has_filter = _pps(found[PPS])
    return Parameters(columns, rows, width, references, default, has_filter, quantiser)


def _sequence(bits: BitReader) -> tuple[int, int, int, int]:
    profile, _, _ = (bits.fixed(8) for _ in range(3))
    _require(profile == BASELINE, f"profile {profile} and not {BASELINE}, baseline")
    bits.unsigned()  # number of the set
    width = 4 + bits.unsigned()
    order = bits.unsigned()
    _require(order == 2, f"kind {order} of picture order and not 2")
    references = bits.unsigned()
    bits.fixed(1)  # whether numbers may be left out
    columns, rows = 1 + bits.unsigned(), 1 + bits.unsigned()
    _require(bits.fixed(1) == 1, "half pictures")
    return width, references, columns, rows


def _pps(bits: BitReader) -> tuple[int, int, bool]:
    bits.unsigned(), bits.unsigned()  # numbers of both sets
    _require(not bits.fixed(1), "arithmetic coding")
    _require(not bits.fixed(1), "picture order in slices")
    _require(not bits.unsigned(), "groups of slices")
    default = 1 + bits.unsigned()
    bits.unsigned()  # the same for pictures between two others
    _require(not bits.fixed(3), "weighted prediction")
    quantiser = 26 + bits.signed()
    bits.signed(), bits.signed()  # quantisers of other kinds
    has_filter = bool(bits.fixed(1))
    _require(not bits.fixed(1), "pictures of their own kind of prediction")
    _require(not bits.fixed(1), "redundant pictures")
    return default, quantiser, has_filter


def _require(is_plain: bool, what: str) -> None:
    if not is_plain:
        raise ValueError(f"the stream has {what}; only plain baseline is read.")
