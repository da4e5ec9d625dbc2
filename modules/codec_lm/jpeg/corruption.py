"""What one wrong byte does to a JPEG file, by how often restart markers stand in it."""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from modules.codec_lm.jpeg.codec import CELL, EOI, JpegCodec


@dataclass(frozen=True)
class Damage:
    """What a wrong byte did.

    Attributes:
        opens: Whether Pillow still opens the file, at its size.
        is_silent: Whether libjpeg has nothing to say of it.
        squared_error: Mean over pixels and colours, on the scale of 0 to 255; NaN if not opened.
        share: Of the minimum coded units (MCUs), those with a changed pixel; NaN if not opened.
            Chrominance is smoothed across the borders of MCUs, so that neighbours may count.
    """

    opens: bool
    is_silent: bool
    squared_error: float
    share: float


def with_a_wrong_byte(codec: JpegCodec, sequence: bytes, dice: Random) -> bytes:
    """A sequence in which one byte of the scan, any of them, is another one."""
    start = len(codec.header) if codec.keep_header else 0
    stop = len(sequence) - (len(EOI) if codec.keep_header else 0)
    at = dice.randrange(start, stop)
    wrong = (sequence[at] + dice.randrange(1, 256)) % 256
    return sequence[:at] + bytes([wrong]) + sequence[at + 1 :]


def damage(codec: JpegCodec, sequence: bytes, broken: bytes) -> Damage:
    """Compare what two sequences show.

    Args:
        codec: Of both.
        sequence: A sound one.
        broken: Another one.
    """
    is_silent = codec.decoder_error(broken) is None
    try:
        found = codec.decode(broken)
    except OSError:
        return Damage(False, is_silent, float("nan"), float("nan"))
    wanted = codec.decode(sequence)
    error = float(np.square(found.astype(np.float64) - wanted).mean())
    return Damage(True, is_silent, error, changed(codec, found, wanted))


def changed(codec: JpegCodec, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Share of the MCUs in which two images differ."""
    differs_HW = (one != other).reshape(codec.height, codec.width, -1).any(2)
    side, (rows, columns) = CELL[codec.sampling], codec.grid
    padded = np.zeros((rows * side, columns * side), np.bool_)
    padded[: codec.height, : codec.width] = differs_HW
    return float(padded.reshape(rows, side, columns, side).any((1, 3)).mean())


def study(codec: JpegCodec, images: list[NDArray[np.uint8]], seed: int = 0) -> list[Damage]:
    """One wrong byte in the file of each image."""
    found = []
    for number, image in enumerate(images):
        sequence = codec.encode(image)
        dice = Random(f"corruption/{seed}/{number}")
        found.append(damage(codec, sequence, with_a_wrong_byte(codec, sequence, dice)))
    return found
