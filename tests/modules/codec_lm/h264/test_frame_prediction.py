"""Whether completed clips are closer to the true ones than a still image."""

from math import inf, log10

import pytest
import torch

from modules.codec_lm.h264.frame_prediction import (
    FramePrediction,
    frame_prediction,
    mean_frame_prediction,
)
from modules.metrics.image.psnr import psnr


def test_the_ratio_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    shown, wanted = torch.randint(0, 256, (2, 5, 4, 6, 3), generator=generator)
    for frame, target, ratio in zip(shown, wanted, psnr(shown, wanted).tolist(), strict=True):
        square = sum(
            (a - b) ** 2
            for a, b in zip(frame.flatten().tolist(), target.flatten().tolist(), strict=True)
        )
        assert ratio == pytest.approx(20 * log10(255 / (square / frame.numel()) ** 0.5))


def test_the_ratio_is_torchmetrics_own():
    from torchmetrics.functional.image import peak_signal_noise_ratio

    generator = torch.Generator().manual_seed(1)
    shown, wanted = torch.randint(0, 256, (2, 3, 4, 6, 3), generator=generator)
    whole = peak_signal_noise_ratio(shown.float(), wanted.float(), data_range=255.0)
    torch.testing.assert_close(psnr(shown, wanted, num_dims=4).float(), whole)


def test_equal_images_have_no_noise_and_other_shapes_are_refused():
    assert psnr(torch.ones(4, 4, 3), torch.ones(4, 4, 3)).item() == inf
    with pytest.raises(ValueError, match=r"\(2, 4, 3\), wanted are \(4, 4, 3\)"):
        psnr(torch.ones(2, 4, 3), torch.ones(4, 4, 3))


def clip(*greys):
    return torch.tensor(greys).view(-1, 1, 1, 1).expand(-1, 2, 2, 3)


def test_who_writes_the_true_frames_beats_a_still_image():
    prediction = frame_prediction(clip(9, 9, 30, 40), clip(0, 10, 30, 40), 2)
    assert prediction.written == inf
    assert prediction.repeated == pytest.approx(20 * log10(255 / ((20**2 + 30**2) / 2) ** 0.5))


def test_who_repeats_the_last_given_frame_is_as_good_as_a_still_image():
    prediction = frame_prediction(clip(0, 10, 10, 10), clip(0, 10, 30, 40), 2)
    assert prediction.written == prediction.repeated


@pytest.mark.parametrize("given", [0, 3])
def test_clips_without_given_or_without_written_frames_are_refused(given):
    with pytest.raises(ValueError, match=rf"within \[1, 2\], got {given}"):
        frame_prediction(clip(1, 2, 3), clip(1, 2, 3), given)


def test_several_clips_count_by_their_mean_squares():
    mean_prediction = mean_frame_prediction(
        [FramePrediction(inf, 20.0), FramePrediction(20.0, 20.0)]
    )
    assert mean_prediction.repeated == pytest.approx(20.0)
    assert mean_prediction.written == pytest.approx(20.0 + 10 * log10(2))
    with pytest.raises(ValueError, match="no clip"):
        mean_frame_prediction([])
