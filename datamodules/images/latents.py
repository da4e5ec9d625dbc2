"""Images encoded once by an autoencoder: the moments of their latents on disk.

A folder holds `meta.json`, which lists its parts in order, and a folder for each part, with
`moments.bin` (float16, mean and log variance of each image, [images, 2C, h, w]), `documents.jsonl`
(captions or segments of each document, images by their index in the part). `bad_samples.jsonl`
lists what could not be encoded, if anything. It appears only when it is complete. In format 1, the
folder itself is the only part.
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

FORMAT = 2
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
        record, part = self._lines.record(index), self._lines.number(index)
        if "captions" in record:
            return Pair(self._latent(part, record["image"], rng), texts(record["captions"]))
        return [
            segment["text"]
            if "text" in segment
            else Segment(self._latent(part, segment["image"], rng), segment["is_target"])
            for segment in record["segments"]
        ]

    def _latent(self, part: int, image: int, rng: Random) -> NDArray[np.float32]:
        moments = self._moments[part]
        return self._scaling.sample(moments[image], rng if self.is_sampled else None)

    @cached_property
    def _meta(self) -> dict[str, Any]:
        """The content of `meta.json`.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: The size of a `moments.bin` does not match its images.
        """
        path = self.folder / "meta.json"
        if not path.is_file():
            raise missing(str(path))
        meta: dict[str, Any] = json.loads(path.read_text())
        for part in _parts(meta):
            file = self.folder / part["name"] / "moments.bin"
            wanted = 2 * part["images"] * math.prod(meta["shape"][1:])
            if file.stat().st_size != wanted:
                said = f"{file} has {file.stat().st_size} bytes, meta.json says {wanted}."
                raise ValueError(said)
        return meta

    @cached_property
    def _moments(self) -> list[NDArray[np.float16]]:
        """Moments of all images of each part, mapped into memory."""
        return [self._mapped(part["name"], part["images"]) for part in _parts(self._meta)]

    def _mapped(self, part: str, num: int) -> NDArray[np.float16]:
        shape: tuple[int, ...] = (num, *self._meta["shape"][1:])
        if not num:
            return np.zeros(shape, np.float16)
        return np.memmap(self.folder / part / "moments.bin", np.float16, "r", shape=shape)

    @cached_property
    def _scaling(self) -> Scaling:
        return Scaling(**self._meta["scaling"])

    @cached_property
    def _lines(self) -> IndexedRows:
        names = [part["name"] for part in _parts(self._meta)]
        return IndexedRows([self.folder / name / "documents.jsonl" for name in names])

    def __getstate__(self) -> dict[str, object]:
        """All but the memory mapping, which every process opens itself."""
        return {name: value for name, value in vars(self).items() if name != "_moments"}


def _parts(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """Name and number of images of each part of a folder, by its `meta.json`."""
    parts: list[dict[str, Any]] = meta.get("parts", [{"name": "", "images": meta["shape"][0]}])
    return parts
