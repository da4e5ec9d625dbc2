"""Trains language models of files for a claim, and evaluates their samples.

Shape legend: N = images; H, W = their size; D = features.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.claims.training import COUNTED, bare, fit
from callbacks.images import grid
from datamodules.codec.datamodule import CodecData
from engine.measure.flops import FlopCounter
from modules.causal_lm.system import PromptBatch
from modules.codec_lm.evaluate import as_images
from modules.codec_lm.system import CodecLM
from modules.metrics.image.frechet import FeatureSums, frechet_distance
from modules.metrics.image.image_features import FeatureExtractor

CONFIGS = Path(__file__).parents[3] / "configs"
Images = NDArray[np.uint8]
"""RGB, [N, H, W, 3]."""
BATCH = 250
"""Files generated at a time."""
SHEETS, COLUMNS = Path("runs") / "claims", 8
"""Folder of sheets of images, and images of a row."""


@dataclass(frozen=True)
class Files:
    """A language model of files that a config trained.

    Attributes:
        system: The trained model.
        data: Its data.
        num_steps: Optimizer steps.
        num_files: Approximate number of training files in them, repetitions included.
        flops: Floating-point operations executed in training.
        minutes: Wall-clock time of training.
        losses: Losses of the last validation.
    """

    system: CodecLM
    data: CodecData
    num_steps: int
    num_files: int
    flops: float
    minutes: float
    losses: dict[str, float]


def data_folder() -> Path:
    """Folder of the data."""
    return Path(os.environ.get("TRAINER_DATA", "data"))


def train_autoencoder(config: str, num_steps: int | None) -> tuple[str, float, dict[str, float]]:
    """Fit a config of vq; the folder it was exported to, minutes, and its validation."""
    built = bare(CONFIGS / "vq" / f"{config}.yaml", num_steps)
    minutes, losses = fit(built)
    folder = mkdtemp(prefix=f"{config}_vq_")
    built.model.export(Path(folder))
    return folder, minutes, losses


def train_files(config: str, num_steps: int | None, flops: float | None, *overrides: str) -> Files:
    """Fit a config of file models.

    Args:
        config: Its folder and name.
        num_steps: Optimizer steps, which set the schedule; None for those of the config.
        flops: FLOPs to spend instead of a number of steps.
        overrides: Further options, as on the command line.
    """
    path = CONFIGS / f"{config}.yaml"
    if flops is not None:
        one = bare(path, 1, *overrides)
        one.datamodule.prepare_data()
        one.datamodule.setup("fit")
        one.model.configure_model()
        num_steps = max(1, round(flops / a_step(one)[0]))
    built = bare(path, num_steps, *overrides)
    minutes, losses = fit(built)
    num_steps = built.trainer.global_step
    cost, files = a_step(built)
    return Files(
        built.model,
        built.datamodule,
        num_steps,
        round(files * num_steps),
        cost * num_steps,
        minutes,
        losses,
    )


def a_step(built: Any) -> tuple[float, float]:
    """Executed FLOPs of forward and backward, and files; means over some batches."""
    network = built.model.language_model
    operations, files = 0, 0
    for batch in islice(built.datamodule.train_dataloader(), COUNTED):
        with FlopCounter() as counter:
            names = ("token_BL", "label_BL", "position_BL", "length_N")
            network.loss(*(batch[name] for name in names)).backward()
        built.model.zero_grad()
        operations += counter.total
        files += int((batch["label_BL"] == built.model.rules.end).sum())
    return operations / COUNTED, files / COUNTED


# Samples


def batches(num: int) -> list[int]:
    """Sizes of the batches that `num` files are generated in."""
    return [min(BATCH, num - at) for at in range(0, num, BATCH)]


def draw(files: Files, num: int, seed: int) -> Images:
    """New images."""
    records = new(files, num, seed)
    return np.stack([record["continuation"].numpy() for record in records])


def new(files: Files, num: int, seed: int) -> list[dict[str, Any]]:
    """Records of new files, with a sampling seed."""
    system = files.system
    system.generation = replace(system.generation, seed=seed)
    sizes = batches(num)
    starts = accumulate(sizes, initial=0)
    return [one for at, size in zip(starts, sizes, strict=False) for one in system.new(size, at)]


@dataclass(frozen=True)
class Finished:
    """Images that a model completed.

    Attributes:
        images: The decoded files.
        unsound: Share of files with an error of a strict decoder.
        to_the_brim: Share of files that used nine tenths of their budget: near its end, the grammar
            forces a file to finish.
    """

    images: Images
    unsound: float
    to_the_brim: float


def finish(files: Files, num: int, share: float, seed: int) -> Finished:
    """The first test images, completed from a share of each."""
    files.system.generation = replace(files.system.generation, seed=seed)
    data = files.data
    data.num_samples, data.share, data.eval_batch_size = num, share, BATCH
    records = [
        record
        for number, batch in enumerate(data.predict_dataloader())
        for record in files.system.predict_step(cast(PromptBatch, batch), number)
    ]
    chosen, most = records[:num], 0.9 * files.system.generation.max_new_tokens
    return Finished(
        np.stack([record["continuation"].numpy() for record in chosen]),
        float(np.mean([record["decoder_error"] is not None for record in chosen])),
        float(np.mean([record["written"] > most for record in chosen])),
    )


def sound_without_grammar(files: Files, num: int) -> float:
    """Share of new files without a decoder error if the model may write any byte."""
    system = files.system
    system.constrained = False
    records = new(files, num, seed=0)
    system.constrained = True
    return float(np.mean([record["decoder_error"] is None for record in records]))


def raw(files: Files, num: int) -> Images:
    """The first test images, before any codec."""
    (source,) = files.data.unfinished
    source.source.prepare()
    return rgb([source.pixels(index) for index in range(min(num, len(source.source)))])


def coded(files: Files, images: Images) -> Images:
    """The same, as the codec decodes them."""
    codec: Any = files.system.codec
    is_grey = len(codec.shape) == 2
    sequences = [codec.encode(one[..., 0] if is_grey else one) for one in images]
    return rgb([codec.decode(sequence) for sequence in sequences])


def rgb(images: Sequence[NDArray[np.uint8]]) -> Images:
    """Images in RGB."""
    whole = np.stack(images)
    return whole if whole.ndim == 4 else np.repeat(whole[..., None], 3, axis=3)


def beneath(shown: Images, finished: Images, share: float) -> Images:
    """Completed images with the given part replaced by the true one."""
    given = round(share * shown.shape[1])
    return np.concatenate([shown[:, :given], finished[:, given:]], axis=1)


def show(name: str, *rows: Images) -> Path:
    """Write a sheet of rows of images, eight a row."""
    path = SHEETS / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = np.concatenate([row[:COLUMNS] for row in rows])
    grid(shown, COLUMNS, scale=max(1, 96 // shown.shape[1])).save(path)
    return path


# Distances


@torch.no_grad()
def features(extract: FeatureExtractor, images: Images) -> Tensor:
    """Features of images, float64 [N, D]."""
    parts = [
        extract(as_images(torch.from_numpy(images[at : at + BATCH])))
        for at in range(0, len(images), BATCH)
    ]
    return torch.cat(parts).double()


def distance(one_ND: Tensor, other_ND: Tensor) -> float:
    """Frechet distance of two sets of features."""
    sums = []
    for feature_ND in (one_ND, other_ND):
        sums.append(FeatureSums(feature_ND.shape[1]))
        sums[-1].add(feature_ND)
    return frechet_distance(sums[0].gaussian(), sums[1].gaussian())
