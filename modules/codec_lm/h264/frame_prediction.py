"""Whether a model of clips sees what comes next, or does no better than if nothing moved.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from modules.metrics.image.psnr import PEAK, psnr


class FramePrediction(NamedTuple):
    """How near the frames behind those given are to the true ones, in decibels (PSNR).

    Attributes:
        written: Of the model's frames.
        repeated: Of the last given frame, over and over.
    """

    written: float
    repeated: float


def frame_prediction(written_THWC: Tensor, true_THWC: Tensor, given: int) -> FramePrediction:
    """Compare a finished clip with the true one, both as the codec shows them.

    The mean square is taken over all frames that were not given, so that a frame without a fault
    does not make it infinite by itself.

    Args:
        written_THWC: The clip whose beginning was given, values from 0 to 255.
        true_THWC: What it should be.
        given: Frames at the beginning.

    Raises:
        ValueError: No frame was given, or none was written.
    """
    frames = len(true_THWC)
    if not 0 < given < frames:
        raise ValueError(f"given must be within [1, {frames - 1}], got {given}.")
    true = true_THWC[given:]
    still = true_THWC[given - 1].expand_as(true)
    return FramePrediction(
        psnr(written_THWC[given:], true, num_dims=4).item(), psnr(still, true, num_dims=4).item()
    )


def mean_frame_prediction(found: list[FramePrediction]) -> FramePrediction:
    """That of several clips together: of the mean of their mean squares, so that none is infinite.

    Raises:
        ValueError: There is none.
    """
    if not found:
        raise ValueError("no clip was finished.")
    squares = PEAK**2 * 10 ** (-torch.tensor(found, dtype=torch.float64) / 10)
    written, repeated = (10 * torch.log10(PEAK**2 / squares.mean(0))).tolist()
    return FramePrediction(written, repeated)
