"""JPEG-LM's claims at laptop scale: `python -m benchmarks.claims.codec_lm`, `--size 10` for longer.

1. A plain Llama generates better images from the bytes of JPEG files than from codes of a VQ-VAE or
   from pixels, at equal parameters and training FLOPs (sec. 5; MNIST, unconditional).
2. It completes images better, for any given share (sec. 5; emoji). The paper's distance is of whole
   images, which the given part may dominate; another distance replaces it by the true one.
3. Restart markers keep the damage of a wrong byte local (sec. 3).
4. Its advantage over codes is larger for rare classes (sec. 6).
5. On the bytes of H.264 files it continues clips (sec. 4.2).

The VQ-VAEs are trained separately, and their FLOPs are not counted, as in the paper.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.codec_lm import clips, corruption
from benchmarks.claims.codec_lm.files import (
    COLUMNS,
    Files,
    Images,
    beneath,
    coded,
    data_folder,
    distance,
    draw,
    features,
    finish,
    raw,
    show,
    sound_without_grammar,
    train_autoencoder,
    train_files,
)
from datamodules.codec.datamodule import CodecText
from datamodules.images.parquet import ImageTextParquet
from datamodules.text.source import TextSource
from modules.metrics.image.image_features import TorchScript

SHARES = (0.25, 0.5, 0.75)
PAPER = {0.25: "272.12 / 302.92", 0.5: "123.09 / 172.73", 0.75: "34.21 / 71.88"}
"""FID on ImageNet, JPEG-LM / VQ transformer (table 1)."""
KINDS = ("jpeg", "vq", "pixels")
PARTS = ("new", "finished", "clips", "corruption")
"""The longest first: they run in parallel."""

NUM_MNIST, NUM_QUICK = 60_000, 100
"""Training images of MNIST, and of either data set in a quick run."""
WHOLE, TRUE, AS_JPEG = "whole", "given part true", "whole, to JPEG files"
"""What is compared of completed images; references are raw test images, except in the last."""
MOST = {("mnist", "vq"): 45_000, ("mnist", "pixels"): 6_000}
"""Training images that these models have time for at size 1."""


@dataclass(frozen=True)
class Scale:
    """Sizes of training and evaluation.

    Attributes:
        num_steps: Steps of the JPEG models; the others get equal FLOPs.
        num_vq_steps: Steps of the VQ-VAEs; None for those of the configs.
        num_drawn: New images of a seed.
        num_references: Test images that new ones are compared with.
        num_finished: Most test images to complete.
        num_seeds: Sampling seeds.
        num_corrupted: Images with a wrong byte.
        num_clips: Clips to continue.
    """

    num_steps: int
    num_vq_steps: int | None
    num_drawn: int
    num_references: int
    num_finished: int
    num_seeds: int
    num_corrupted: int
    num_clips: int


FULL = Scale(300, None, 1000, 5000, 166, 3, 300, 50)
QUICK = Scale(2, 2, 2, 4, 2, 1, 4, 2)


class Claims:
    """The claims, one after another.

    Args:
        bench: Collects the rows.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.scale = QUICK if bench.quick else FULL
        models = Path(os.environ.get("TRAINER_MODELS", "models"))
        self.extract = TorchScript(models / "cifar_resnet56" / "features.ts")

    @property
    def num_steps(self) -> int:
        """Steps of the JPEG models."""
        return max(1, round(self.scale.num_steps * self.bench.size))

    def fit(self, name: str, config: str, flops: float | None, *overrides: str) -> Files:
        """Train, and record the cost."""
        self.bench.say(f"{name}: trains {config}")
        steps = self.num_steps if flops is None else None
        quickly = ["--trainer.limit_val_batches=1"] if self.bench.quick else []
        files = train_files(config, steps, flops, *overrides, *quickly)
        parameters = sum(p.numel() for p in files.system.parameters())
        self.bench.details[name] = {
            "config": config,
            "steps": files.num_steps,
            "files": files.num_files,
            "parameters": parameters,
            "tera_flops": files.flops / 1e12,
            "minutes": files.minutes,
            "validation": files.losses,
        }
        self.bench.say(
            f"{name}: {files.num_steps} steps, {files.num_files} files, {parameters} parameters, "
            f"{files.minutes:.1f} minutes, {files.flops / 1e12:.2f} TFLOP, {files.losses}"
        )
        return files

    def trio(self, data: str) -> dict[str, Files]:
        """JPEG, VQ and pixels on one data set, at equal FLOPs."""
        jpeg = self.fit(f"{data} jpeg", f"jpeg_lm/{data}", None, *self.few(data, "jpeg"))
        self.bench.say(f"{data}: trains the VQ-VAE")
        folder, minutes, losses = train_autoencoder(data, self.scale.num_vq_steps)
        self.bench.details[f"{data} VQ-VAE"] = {"minutes": minutes, "validation": losses}
        self.bench.say(f"{data} VQ-VAE: {minutes:.1f} minutes, {losses}")
        vq_options = [f"--data.init_args.codec.init_args.network={folder}", *self.few(data, "vq")]
        vq = self.fit(f"{data} vq", f"jpeg_lm/{data}_vq", jpeg.flops, *vq_options)
        pixel_options = self.few(data, "pixels")
        pixels = self.fit(f"{data} pixels", f"jpeg_lm/{data}_pixels", jpeg.flops, *pixel_options)
        return dict(zip(KINDS, (jpeg, vq, pixels), strict=True))

    def few(self, data: str, kind: str) -> list[str]:
        """Limit the training images to the time there is: all are coded and tokenised first."""
        num = NUM_QUICK if self.bench.quick else MOST.get((data, kind))
        if num is None:
            return []
        if not self.bench.quick:
            num = min(NUM_MNIST, round(num * max(1.0, self.bench.size)))
        file = {"mnist": "train.parquet", "emoji": "emoji72.parquet"}[data]
        source = {
            "class_path": "datamodules.images.parquet.ImageTextParquet",
            "init_args": {
                "path": str(data_folder() / data / file),
                "caption": None,
                "where": {"split": "train"} if data == "emoji" else None,
                "num": num,
            },
        }
        return [f"--data.init_args.train={json.dumps([source])}"]

    # 1

    def unconditional(self) -> None:
        """New digits, compared with raw test images and with the same as JPEG files."""
        models = self.trio("mnist")
        shown = raw(models["jpeg"], self.scale.num_references)
        references = self.references(models["jpeg"], shown)
        sound = sound_without_grammar(models["jpeg"], self.scale.num_finished)
        self.bench.details["mnist jpeg"]["sound without the grammar"] = sound
        self.bench.say(f"mnist jpeg: {sound} of {self.scale.num_finished} sound without grammar")
        between = distance(*references.values())
        self.bench.details["mnist"] = {"references": len(shown), "as JPEG to raw": between}
        found: dict[str, dict[str, float]] = {}
        for kind, model in models.items():
            drawn = [draw(model, self.scale.num_drawn, s) for s in range(self.scale.num_seeds)]
            seen = [features(self.extract, one) for one in drawn]
            each = {
                name: [distance(one, reference) for one in seen]
                for name, reference in references.items()
            }
            found[kind] = {name: float(np.mean(values)) for name, values in each.items()}
            self.bench.details[f"mnist {kind}"]["frechet"] = each
            show(f"mnist_{kind}", drawn[0], drawn[0][COLUMNS:])
            self.bench.say(f"mnist {kind}: Frechet {each}")
        for other in KINDS[1:]:
            for name in references:
                ratio = found["jpeg"][name] / found[other][name]
                paper = "121.35 / 155.51" if other == "vq" else None
                what = f"MNIST, {self.scale.num_drawn} new: Frechet distance to {len(shown)} {name}"
                what += (
                    f", JPEG-LM / {other} ({found['jpeg'][name]:.2f} / {found[other][name]:.2f})"
                )
                self.bench.row(1, what, ratio, 1.0, paper=paper)

    def references(self, jpeg: Files, shown: Images) -> dict[str, Tensor]:
        """Features of real images, raw and as the JPEG codec decodes them."""
        every = {"raw": shown, "as JPEG": coded(jpeg, shown)}
        return {name: features(self.extract, images) for name, images in every.items()}

    # 2 and 4

    def completion(self) -> None:
        """Emoji, completed from their first part."""
        models = self.trio("emoji")
        shown = raw(models["jpeg"], self.scale.num_finished)
        references = self.references(models["jpeg"], shown)
        half, sheet = {}, [shown]
        for share in SHARES:
            found: dict[str, dict[str, float]] = {WHOLE: {}, TRUE: {}, AS_JPEG: {}}
            for kind, model in models.items():
                told = [
                    finish(model, len(shown), share, seed) for seed in range(self.scale.num_seeds)
                ]
                whole = [features(self.extract, one.images) for one in told]
                images = [beneath(shown, one.images, share) for one in told]
                below = [features(self.extract, one) for one in images]
                each = {
                    WHOLE: [distance(one, references["raw"]) for one in whole],
                    TRUE: [distance(one, references["raw"]) for one in below],
                    AS_JPEG: [distance(one, references["as JPEG"]) for one in whole],
                }
                self.bench.details[f"emoji {kind}"][f"r = {share}"] = {
                    "frechet": each,
                    "unsound": float(np.mean([one.unsound for one in told])),
                    "to the brim": float(np.mean([one.to_the_brim for one in told])),
                }
                for what, distances in each.items():
                    found[what][kind] = float(np.mean(distances))
                if share == 0.5:
                    half[kind] = torch.stack(below)
                    sheet.append(told[0].images)
                self.bench.say(f"emoji {kind}, r = {share}: Frechet {each}")
            self.finished_rows(share, found)
        show("emoji_half", *sheet)
        self.bench.details["emoji"] = {"pictures": len(shown)}
        self.long_tail(models["jpeg"], half, references["raw"])

    def finished_rows(self, share: float, found: dict[str, dict[str, float]]) -> None:
        """Rows of each comparison, the paper's first."""
        for other in KINDS[1:]:
            for what, of_kind in found.items():
                told = f"emoji, r = {share}: Frechet distance, {what}, JPEG-LM / {other}"
                told += f" ({of_kind['jpeg']:.2f} / {of_kind[other]:.2f})"
                paper = PAPER[share] if (other, what) == ("vq", WHOLE) else None
                self.bench.row(2, told, of_kind["jpeg"] / of_kind[other], 1.0, paper=paper)

    def long_tail(self, model: Files, half: dict[str, Any], wanted: Any) -> None:
        """Advantage over VQ by class, against the training frequency of the class."""
        from scipy.stats import spearmanr  # type: ignore[import-untyped]

        sources = model.data.sources
        train, test = categories(sources["train"]), categories(sources["test"])[: len(wanted)]
        error = {
            kind: (half[kind] - wanted).square().sum(-1).mean(0).numpy() for kind in ("jpeg", "vq")
        }
        rows = []
        for name in sorted({*test}):
            chosen = np.array([one == name for one in test])
            apart = float((error["jpeg"] - error["vq"])[chosen].mean())
            rows.append((name, train.count(name), int(chosen.sum()), apart))
        self.bench.details["long tail"] = rows
        known = [row for row in rows if row[1]]
        if len(known) < 3:
            rho, p = float("nan"), float("nan")
        else:
            columns = [row[1] for row in known], [row[3] for row in known]
            rho, p = spearmanr(*columns, alternative="greater")
        what = "one-sided p of a rank correlation above 0, frequency of a class and JPEG's error"
        what += f" less VQ's (rho = {rho:.2f}, {len(known)} classes)"
        self.bench.row(4, what, float(p), 0.05, paper="0.0002")


def categories(sources: Sequence[TextSource]) -> list[str]:
    """Category of every image of an emoji source, in its order."""
    import pyarrow.parquet as pq

    (text,) = sources
    assert isinstance(text, CodecText)
    source = text.source
    assert isinstance(source, ImageTextParquet)
    table = pq.read_table(source.path, columns=["category", "split"]).to_pylist()
    return [row["category"] for row in table if row["split"] == source.rows.where["split"]]


def measure(bench: Bench) -> None:
    """What JPEG-LM and AVC-LM claim; at most 45 minutes on two cores at size 1."""
    claims = Claims(bench)
    if bench.wants("corruption"):
        corruption.measure(bench, claims.scale.num_corrupted)
    if bench.wants("new"):
        claims.unconditional()
    if bench.wants("finished"):
        claims.completion()
    if bench.wants("clips"):
        clips.measure(bench, claims.num_steps, claims.scale.num_clips)


if __name__ == "__main__":
    run("claims.codec_lm", measure, sized=True, parts=PARTS, apart=True)
