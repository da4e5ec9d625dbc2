"""Sequence and picture parameter sets of an H.264 stream (ITU-T H.264, 7.3.2.1 and 7.3.2.2).

Only baseline streams of whole frames are read; others are refused.
"""

from dataclasses import dataclass

from modules.codec_lm.h264.bitstream.exp_golomb import BitReader
from modules.codec_lm.h264.bitstream.nal import PPS, SPS, units

BASELINE = 66


@dataclass(frozen=True)
class Parameters:
    """What is read of both parameter sets.

    Attributes:
        columns: Macroblocks of a row.
        rows: Rows of macroblocks.
        frame_num_width: Bits of the frame number.
        max_references: Most reference frames.
        default_references: Number of reference frames, unless a slice overrides it.
        has_filter: Whether slice headers contain deblocking parameters.
        quantiser: Initial quantiser of slices, 0 to 51.
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
        """Macroblocks of a frame."""
        return self.columns * self.rows


def read_parameters(stream: bytes) -> Parameters:
    """The parameter sets of a stream.

    Raises:
        ValueError: They are missing, truncated, or use anything that is not read here.
    """
    readers = {unit.kind: BitReader(unit.payload) for unit in units(stream)}
    if SPS not in readers or PPS not in readers:
        raise ValueError(f"units of types {sorted(readers)}, but {SPS} and {PPS} are needed.")
    width, references, columns, rows = _sequence(readers[SPS])
    default, quantiser, has_filter = _pps(readers[PPS])
    return Parameters(columns, rows, width, references, default, has_filter, quantiser)


def _sequence(bits: BitReader) -> tuple[int, int, int, int]:
    profile, _, _ = (bits.fixed(8) for _ in range(3))
    _require(profile == BASELINE, f"profile {profile} and not {BASELINE}, baseline")
    bits.unsigned()  # identifier of the set
    width = 4 + bits.unsigned()
    order = bits.unsigned()
    _require(order == 2, f"picture order type {order} and not 2")
    references = bits.unsigned()
    bits.fixed(1)  # whether frame numbers may have gaps
    columns, rows = 1 + bits.unsigned(), 1 + bits.unsigned()
    _require(bits.fixed(1) == 1, "fields")
    return width, references, columns, rows


def _pps(bits: BitReader) -> tuple[int, int, bool]:
    bits.unsigned(), bits.unsigned()  # identifiers of both sets
    _require(not bits.fixed(1), "arithmetic coding")
    _require(not bits.fixed(1), "picture order in slices")
    _require(not bits.unsigned(), "slice groups")
    default = 1 + bits.unsigned()
    bits.unsigned()  # the same for B slices
    _require(not bits.fixed(3), "weighted prediction")
    quantiser = 26 + bits.signed()
    bits.signed(), bits.signed()  # other quantiser offsets
    has_filter = bool(bits.fixed(1))
    _require(not bits.fixed(1), "constrained intra prediction")
    _require(not bits.fixed(1), "redundant pictures")
    return default, quantiser, has_filter


def _require(is_plain: bool, what: str) -> None:
    if not is_plain:
        raise ValueError(f"the stream has {what}; only plain baseline is read.")
