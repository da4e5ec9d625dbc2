"""One wrong byte in a file."""

from random import Random

import numpy as np
import pytest

from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.jpeg.corruption import changed, damage, study, with_a_wrong_byte
from tests.modules.codec_lm.jpeg.test_grammar import image


@pytest.mark.parametrize("keep_header", [True, False])
def test_exactly_one_byte_of_the_scan_differs(keep_header):
    codec = JpegCodec(32, 32, keep_header=keep_header)
    sequence = codec.encode(image(codec, np.random.default_rng(0)))
    start = len(codec.header) if keep_header else 0
    for seed in range(50):
        broken = with_a_wrong_byte(codec, sequence, Random(seed))
        (at,) = [n for n, pair in enumerate(zip(sequence, broken, strict=True)) if len({*pair}) > 1]
        assert start <= at < len(sequence) - 2 * keep_header


def test_a_sound_file_has_no_damage():
    codec = JpegCodec(32, 32)
    sequence = codec.encode(image(codec, np.random.default_rng(0)))
    result = damage(codec, sequence, sequence)
    assert (result.opens, result.is_silent, result.squared_error, result.share) == (
        True,
        True,
        0,
        0,
    )


def test_the_share_counts_units_by_a_plain_loop():
    codec = JpegCodec(20, 28, sampling="grey")
    rng = np.random.default_rng(0)
    sound = np.zeros((20, 28), np.uint8)
    damaged = sound.copy()
    for y, x in ((3, 3), (19, 27), (18, 25), (8, 8)):
        damaged[y, x] = rng.integers(1, 256)
    units = {(y // 8, x // 8) for y in range(20) for x in range(28) if sound[y, x] != damaged[y, x]}
    assert changed(codec, sound, damaged) == len(units) / 12


def test_restart_markers_keep_damage_local():
    shown = JpegCodec(64, 64)
    images = [image(shown, np.random.default_rng(n)) for n in range(40)]
    shares = {
        restart: np.nanmean([d.share for d in study(JpegCodec(64, 64, restart=restart), images)])
        for restart in ("mcu", "row", "none")
    }
    assert shares["mcu"] < shares["row"] < shares["none"]
