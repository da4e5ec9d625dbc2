"""Images encoded once by an autoencoder: the moments of their latents on disk.

A folder holds `moments.bin` (float16, mean and log variance of each image, [images, 2C, h, w]),
`documents.jsonl` (captions or segments of each document, images by index), `bad_samples.jsonl`
(what could not be encoded, if anything) and `meta.json`. It appears only when it is complete.
"""

import json
import math
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.images.source import ImageSource, Interleaved, Pair, Segment, texts
from datamodules.images.vae import Scaling
from datamodules.records.indexed_rows import IndexedRows
from datamodules.records.roots import missing

FORMAT = 1
"""Version of the layout; part of `meta.json`."""


class StoredLatents(ImageSource):
    """Documents whose images were encoded by the command `latents`; each draw samples again.

    Args:
        folder: Output folder of the command.
        sample: Whether latents are drawn from their moments; else their mean is taken.
        weight: Share of the documents of an epoch, relative to the other sources; above 0.
    """

    def __init__(self, folder: str, sample: bool = True, weight: float = 1.0):
        super().__init__(weight)
        self.folder = Path(folder)
        self.is_sampled = sample

    @property
    @override
    def name(self) -> str:
        return "/".join(self.folder.parts[-2:])

    @override
    def fingerprint(self) -> str:
        return json.dumps(["StoredLatents", self.is_sampled, self._meta])

    @override
    def __len__(self) -> int:
        return len(self._lines)

    @override
    def location(self, index: int) -> str:
        return self._lines.location(index)

    @override
    def sample(self, index: int, rng: Random) -> Pair | Interleaved:
        record = self._lines.record(index)
        if "captions" in record:
            return Pair(self._latent(record["image"], rng), texts(record["captions"]))
        return [
            segment["text"]
            if "text" in segment
            else Segment(self._latent(segment["image"], rng), segment["is_target"])
            for segment in record["segments"]
        ]

    def _latent(self, image: int, rng: Random) -> NDArray[np.float32]:
        return self._scaling.sample(self._moments[image], rng if self.is_sampled else None)

    @cached_property
    def _meta(self) -> dict[str, Any]:
        """The content of `meta.json`.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: The size of `moments.bin` does not match the images.
        """
        path = self.folder / "meta.json"
        if not path.is_file():
            raise missing(str(path))
        meta: dict[str, Any] = json.loads(path.read_text())
        file = self.folder / "moments.bin"
        wanted = 2 * math.prod(meta["shape"])
        if file.stat().st_size != wanted:
            raise ValueError(f"{file} has {file.stat().st_size} bytes, meta.json says {wanted}.")
        return meta

    @cached_property
    def _moments(self) -> NDArray[np.float16]:
        """Moments of all images, mapped into memory."""
        shape: tuple[int, ...] = tuple(self._meta["shape"])
        if not shape[0]:
            return np.zeros(shape, np.float16)
        return np.memmap(self.folder / "moments.bin", np.float16, "r", shape=shape)

    @cached_property
    def _scaling(self) -> Scaling:
        return Scaling(**self._meta["scaling"])

    @cached_property
    def _lines(self) -> IndexedRows:
        _ = self._meta
        return IndexedRows([self.folder / "documents.jsonl"])

    def __getstate__(self) -> dict[str, object]:
        """All but the memory mapping, which every process opens itself."""
        return {name: value for name, value in vars(self).items() if name != "_moments"}
