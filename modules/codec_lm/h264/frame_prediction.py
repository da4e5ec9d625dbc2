"""How well a model predicts the frames of a clip, compared with repeating the last given frame.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from modules.metrics.image.psnr import PEAK, psnr


class FramePrediction(NamedTuple):
    """PSNR of the frames after the given ones, in decibels.

    Attributes:
        written: PSNR of the model's frames.
        repeated: PSNR of the last given frame, repeated.
    """

    written: float
    repeated: float


def frame_prediction(written_THWC: Tensor, true_THWC: Tensor, given: int) -> FramePrediction:
    """Compare a completed clip with the true one, both as the codec decodes them.

    The mean square is over all frames that were not given, so that one perfect frame does not make
    the PSNR infinite.

    Args:
        written_THWC: The completed clip, values from 0 to 255.
        true_THWC: The true clip.
        given: Number of given frames.

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


def mean_frame_prediction(predictions: list[FramePrediction]) -> FramePrediction:
    """PSNR over several clips, from the mean of their mean squares.

    Args:
        predictions: One a clip.

    Raises:
        ValueError: There is no clip.
    """
    if not predictions:
        raise ValueError("no clip was completed.")
    squares = PEAK**2 * 10 ** (-torch.tensor(predictions, dtype=torch.float64) / 10)
    written, repeated = (10 * torch.log10(PEAK**2 / squares.mean(0))).tolist()
    return FramePrediction(written, repeated)
