"""Restart markers keep the damage of a wrong byte local (Han et al., 2024, sec. 3)."""

from collections.abc import Sequence
from random import Random

import numpy as np

from benchmarks.bench.harness import Bench
from benchmarks.claims.codec_lm.files import data_folder
from datamodules.images.items import shaped, stored
from datamodules.images.parquet import ImageTextParquet
from modules.codec_lm.jpeg.codec import JpegCodec, Restart
from modules.codec_lm.jpeg.corruption import Damage, study

SIDE = 64
"""Side of the emoji, in pixels."""
RESTARTS: tuple[Restart, ...] = ("mcu", "row", "none")


def measure(bench: Bench, num: int) -> None:
    """One wrong byte in a file, for each spacing of restart markers."""
    path = data_folder() / "emoji" / "emoji72.parquet"
    source = ImageTextParquet(str(path), caption=None, where={"split": "train"})
    source.prepare()
    images = [
        shaped(stored(source, index, Random(index)), SIDE, channels=3) for index in range(num)
    ]
    found: dict[str, dict[str, float]] = {}
    for restart in RESTARTS:
        found[restart] = summary(study(JpegCodec(SIDE, SIDE, restart=restart), images))
        bench.say(f"a wrong byte, restart {restart}: {found[restart]}")
    bench.details["corruption, emoji of 64 x 64"] = found
    for better, worse in (("mcu", "row"), ("row", "none")):
        ratio = found[better]["share of MCUs"] / found[worse]["share of MCUs"]
        what = f"share of MCUs that a wrong byte changes, restart {better} / {worse}"
        bench.row(3, what, ratio, 1.0, paper="restart markers keep errors local")


def summary(found: Sequence[Damage]) -> dict[str, float]:
    """Rates and means over files."""
    return {
        "opens": float(np.mean([one.opens for one in found])),
        "libjpeg is silent": float(np.mean([one.is_silent for one in found])),
        "squared error": float(np.nanmean([one.squared_error for one in found])),
        "share of MCUs": float(np.nanmean([one.share for one in found])),
        "median share of MCUs": float(np.nanmedian([one.share for one in found])),
    }
