"""AVC-LM's claim: it continues a clip better than by repeating the last frame.

Shape legend: T = frames of a clip, H, W = their size.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench.harness import Bench
from benchmarks.claims.codec_lm.files import BATCH, SHEETS, Files, train_files
from callbacks.images import grid
from modules.causal_lm.system import PromptBatch
from modules.codec_lm.h264.frame_prediction import frame_prediction, mean_frame_prediction

CONFIG = "avc_lm/moving_mnist"
GIVEN = 10
"""Given frames of a clip; the model adds five (sec. 4.2)."""
SHOWN = 6
"""Clips of the sheet."""
Clip = NDArray[np.uint8]
"""[T, H, W, 3]."""


def continued(files: Files, num: int, seed: int) -> tuple[list[Clip], list[str | None]]:
    """The first test clips with the frames that the model adds, and FFmpeg's errors."""
    files.system.generation = replace(files.system.generation, seed=seed)
    data, codec = files.data, files.system.codec
    frames, height, width, _ = codec.shape
    data.num_samples, data.eval_batch_size = num, BATCH
    data.share = (GIVEN + 0.01) / frames
    clips: list[Clip] = []
    errors: list[str | None] = []
    for index, batch in enumerate(data.predict_dataloader()):
        for record in files.system.predict_step(cast(PromptBatch, batch), index):
            strip = record["continuation"].numpy()
            clips.append(strip.reshape(height, frames, width, 3).swapaxes(0, 1))
            errors.append(record["decoder_error"])
    return clips[:num], errors[:num]


def truth(files: Files, num: int) -> list[Clip]:
    """The same clips, complete, as the codec decodes them."""
    codec: Any = files.system.codec
    (source,) = files.data.unfinished
    source.source.prepare()
    return [codec.decode(codec.encode(source.pixels(index))) for index in range(num)]


def sheet(found: list[Clip], wanted: list[Clip]) -> None:
    """Write an image of the first clips, frame by frame; below each, its continuation."""
    pairs = [clip for pair in zip(wanted, found, strict=True) for clip in pair][: 2 * SHOWN]
    strips = np.stack([clip.swapaxes(0, 1).reshape(clip.shape[1], -1, 3) for clip in pairs])
    SHEETS.mkdir(parents=True, exist_ok=True)
    grid(strips, 1, scale=1).save(SHEETS / "clips.png")


def measure(bench: Bench, num_steps: int, num_clips: int) -> None:
    """PSNR of frames added greedily, compared with repeating the last given frame."""
    bench.say(f"clips: trains {CONFIG}")
    files = train_files(CONFIG, num_steps, None, "--model.init_args.generation.temperature=0")
    found, errors = continued(files, num_clips, 0)
    wanted = truth(files, num_clips)
    sheet(found, wanted)
    each = [
        frame_prediction(torch.from_numpy(clip), torch.from_numpy(real), GIVEN)
        for clip, real in zip(found, wanted, strict=True)
    ]
    mean = mean_frame_prediction(each)
    unsound = float(np.mean([error is not None for error in errors]))
    better = float(np.mean([one.written > one.repeated for one in each]))
    bench.details["clips"] = {
        "config": CONFIG,
        "clips": num_clips,
        "steps": files.num_steps,
        "minutes": files.minutes,
        "tera_flops": files.flops / 1e12,
        "validation": files.losses,
        "psnr": mean._asdict(),
        "better than the last frame": better,
        "unsound": unsound,
    }
    bench.say(f"clips: {files.minutes:.1f} minutes, {files.losses}, {mean}, {better=}, {unsound=}")
    what = "PSNR of five added frames in dB, moving MNIST; peer: the last frame again"
    bench.row(5, what, mean.written, mean.repeated, peer=mean.repeated, at_least=True)
