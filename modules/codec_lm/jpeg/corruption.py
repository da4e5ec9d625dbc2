"""Effect of one wrong byte on a JPEG file, for any spacing of restart markers."""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from modules.codec_lm.jpeg.codec import CELL, EOI, JpegCodec


@dataclass(frozen=True)
class Damage:
    """Effect of a wrong byte.

    Attributes:
        opens: Whether Pillow still decodes the file, at its size.
        is_silent: Whether libjpeg reports no error or warning.
        squared_error: Mean over pixels and colours, on a scale of 0 to 255; NaN if not decoded.
        share: Share of minimum coded units (MCUs) with a changed pixel; NaN if not decoded.
            Decoders smooth chrominance across MCU borders, so that neighbours may count.
    """

    opens: bool
    is_silent: bool
    squared_error: float
    share: float


def with_a_wrong_byte(codec: JpegCodec, sequence: bytes, rng: Random) -> bytes:
    """A sequence with one random byte of its scan changed."""
    start = len(codec.header) if codec.keep_header else 0
    stop = len(sequence) - (len(EOI) if codec.keep_header else 0)
    at = rng.randrange(start, stop)
    wrong = (sequence[at] + rng.randrange(1, 256)) % 256
    return sequence[:at] + bytes([wrong]) + sequence[at + 1 :]


def damage(codec: JpegCodec, sequence: bytes, broken: bytes) -> Damage:
    """Compare two sequences after decoding.

    Args:
        codec: The codec of both.
        sequence: The valid one.
        broken: The other one.
    """
    is_silent = codec.decoder_error(broken) is None
    try:
        actual = codec.decode(broken)
    except OSError:
        return Damage(False, is_silent, float("nan"), float("nan"))
    expected = codec.decode(sequence)
    error = float(np.square(actual.astype(np.float64) - expected).mean())
    return Damage(True, is_silent, error, changed(codec, actual, expected))


def changed(codec: JpegCodec, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Share of MCUs in which two images differ."""
    differs_HW = (first != second).reshape(codec.height, codec.width, -1).any(2)
    side, (rows, columns) = CELL[codec.sampling], codec.grid
    padded = np.zeros((rows * side, columns * side), np.bool_)
    padded[: codec.height, : codec.width] = differs_HW
    return float(padded.reshape(rows, side, columns, side).any((1, 3)).mean())


def study(codec: JpegCodec, images: list[NDArray[np.uint8]], seed: int = 0) -> list[Damage]:
    """The effect of one wrong byte in the file of each image."""
    damages = []
    for index, image in enumerate(images):
        sequence = codec.encode(image)
        rng = Random(f"corruption/{seed}/{index}")
        damages.append(damage(codec, sequence, with_a_wrong_byte(codec, sequence, rng)))
    return damages
