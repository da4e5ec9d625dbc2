"""AVC-LM's claim: it goes on with a clip better than by showing its last frame again.

Shape legend: T = frames of a clip, H, W = their size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.claims.files import BATCH, Files, train_files
from benchmarks.harness import Bench

CONFIG = "avc_lm/moving_mnist"
GIVEN, WRITTEN = 10, 5
"""Frames that a clip begins with, and that the model adds (sec. 4.2)."""
PEAK = 255.0
Clip = NDArray[np.uint8]
"""[T, H, W, 3]."""


def psnr(clip: Clip, wanted: Clip) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all pixels."""
    error = np.square(clip.astype(np.float64) - wanted).mean()
    return float(10 * np.log10(PEAK**2 / error)) if error else float("inf")


def continued(files: Files, num: int, seed: int) -> tuple[list[Clip], list[str | None]]:
    """The first test clips with the frames that the model adds, and what ffmpeg says of them."""
    torch.manual_seed(seed)
    data, codec = files.data, files.system.codec
    frames, height, width, _ = codec.shape
    data.num_samples, data.eval_batch_size = num, BATCH
    data.share = (GIVEN + 0.01) / frames
    clips: list[Clip] = []
    told: list[str | None] = []
    for number, batch in enumerate(data.predict_dataloader()):
        for record in files.system.predict_step(batch, number):
            strip = record["continuation"].numpy()
            clips.append(strip.reshape(height, frames, width, 3).swapaxes(0, 1))
            told.append(record["complaint"])
    return clips[:num], told[:num]


def originals(files: Files, num: int) -> list[Clip]:
    """The same clips as they are, before the codec."""
    (source,) = files.data.unfinished
    source.pictures.prepare()
    return [source.pixels(index) for index in range(num)]


def as_coded(files: Files, clips: Sequence[Clip]) -> list[Clip]:
    """Clips as the codec shows them."""
    codec = files.system.codec
    return [codec.decode(codec.encode(clip)) for clip in clips]  # type: ignore[attr-defined]


def measure(bench: Bench, num_steps: int, num_clips: int) -> None:
    """PSNR of added frames, against repeating the last given one, one clip after the other."""
    bench.say(f"clips: trains {CONFIG}")
    files = train_files(CONFIG, num_steps, None)
    wanted = originals(files, num_clips)
    coded = as_coded(files, wanted)
    found, told = continued(files, num_clips, 0)
    added = slice(GIVEN, GIVEN + WRITTEN)
    rates = {
        "model": [psnr(a[added], b[added]) for a, b in zip(found, wanted, strict=True)],
        "last frame again": [
            psnr(np.repeat(a[GIVEN - 1 : GIVEN], WRITTEN, 0), b[added])
            for a, b in zip(coded, wanted, strict=True)
        ],
        "the codec itself": [psnr(a[added], b[added]) for a, b in zip(coded, wanted, strict=True)],
    }
    means = {name: float(np.mean(values)) for name, values in rates.items()}
    unsound = float(np.mean([one is not None for one in told]))
    bench.details["clips"] = {
        "config": CONFIG,
        "clips": num_clips,
        "steps": files.num_steps,
        "minutes": files.minutes,
        "tera_flops": files.flops / 1e12,
        "validation": files.losses,
        "psnr": means,
        "unsound": unsound,
    }
    bench.say(f"clips: {files.minutes:.1f} minutes, {files.losses}, PSNR {means}, {unsound=}")
    what = "PSNR of five added frames in dB, moving MNIST; peer: the last frame again"
    again = means["last frame again"]
    bench.row(5, what, means["model"], again, peer=again, at_least=True)
