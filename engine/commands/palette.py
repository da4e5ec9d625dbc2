"""Finds the colours of a palette: k-means over the pixels of images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L
import numpy as np
from numpy.typing import NDArray

from engine.config.origins import refuse_remote
from engine.disk.whole import whole

FILE = "palette.npy"
"""Colours, uint8 [K, 3], in the folder of a palette."""
NUM_PIXELS = 1_000_000
"""Approximate number of pixels that are clustered; every image contributes equally."""


@runtime_checkable
class Images(Protocol):
    """Data from whose images a palette can be made."""

    def training_images(self) -> Iterator[NDArray[np.uint8]]:
        """The training images, uint8 [H, W, 3], one after another."""


class MakePalette:
    """Finds the colours of a palette, from the training images of a config."""

    summary = "find the colours of a palette for the images of a config"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        num_colours: int = 512,
        seed: int = 0,
        ckpt_path: str | None = None,
    ) -> None:
        """Find the colours of a palette, from the training images of a config.

        Args:
            trainer: Not used.
            model: Not used.
            datamodule: The data.
            folder: Where to write the palette.
            num_colours: Number of colours.
            seed: Of the choice of pixels and of the clusters.
            ckpt_path: Not used.

        Raises:
            TypeError: The data have no images.
        """
        if not isinstance(datamodule, Images):
            raise TypeError(f"{type(datamodule).__name__} has no images to make a palette of")
        refuse_remote(folder, "folder")
        print(train_palette(datamodule.training_images(), num_colours, Path(folder), seed))


def train_palette(
    images: Iterator[NDArray[np.uint8]], num_colours: int, folder: Path, seed: int = 0
) -> str:
    """Cluster pixels in RGB (Chen et al., 2020, sec. 3.2) and write the centres.

    Args:
        images: uint8 [H, W, 3] each.
        num_colours: K.
        folder: Where to write.
        seed: Of the choice of pixels, and of the clusters.

    Returns:
        One line: colours, images, mean squared error of a value in 0 to 255.

    Raises:
        ValueError: Fewer colours than two, grey images, or fewer kinds of pixels than colours.
    """
    from sklearn.cluster import MiniBatchKMeans

    if num_colours < 2:
        raise ValueError(f"num_colours must be at least 2, got {num_colours}")
    pixel_NC, num_images = sample(images, np.random.default_rng(seed))
    if len(np.unique(pixel_NC, axis=0)) < num_colours:
        raise ValueError(f"the images have fewer than num_colours={num_colours} colours")
    means = MiniBatchKMeans(num_colours, batch_size=16384, n_init=1, random_state=seed)
    means.fit(pixel_NC.astype(np.float32))
    colours = np.round(np.clip(means.cluster_centers_, 0, 255)).astype(np.uint8)
    colours = colours[np.lexsort(colours.T)]  # clusters have no order of their own
    error = ((means.cluster_centers_[means.labels_] - pixel_NC) ** 2).mean()
    write(colours, folder)
    summary = f"{len(colours)} colours from {num_images} images"
    return f"{summary}, mean squared error {error:.1f}: {folder}"


def sample(
    images: Iterator[NDArray[np.uint8]], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """Pixels [N, 3], equally many of each image, and the number of images."""
    held: list[NDArray[np.uint8]] = []
    num, total, keep = 0, 0, NUM_PIXELS
    for image in images:
        if image.ndim != 3:
            raise ValueError("grey images need no palette; set data.init_args.channels to 3")
        num += 1
        pixels = image.reshape(-1, 3)
        held.append(generator.permutation(pixels)[:keep])
        total += len(held[-1])
        if total > 2 * NUM_PIXELS:
            keep = max(1, NUM_PIXELS // num)
            held = [some[:keep] for some in held]
            total = sum(map(len, held))
    if not num:
        raise ValueError("no images to make a palette of")
    return np.concatenate(held), num


def write(colours: NDArray[np.uint8], folder: Path) -> None:
    """Write the file of a palette, all or nothing."""
    with whole(folder / FILE) as draft:
        np.save(draft, colours)
